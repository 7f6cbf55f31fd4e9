# SPDX-License-Identifier: BSD-3-Clause

# Warnings for tarn's own targets. A project that vendors tarn builds them with its own warnings only.
function(tarn_set_warnings target)
    if(NOT PROJECT_IS_TOP_LEVEL)
        return()
    endif()
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
    if(TARN_WARNINGS_AS_ERRORS)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
endfunction()
