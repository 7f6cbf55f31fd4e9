# SPDX-License-Identifier: BSD-3-Clause
#
# The dispatch library: the kernels of every family compiled once for every tier, and the code that picks at run time.

# The instruction sets of each tier. `-march` takes the place of every earlier `-march`, but neither takes away nor brings
# back what a single `-mavx2` or `-mno-avx512f` in the flags of a parent project switched, so the features are named too.
set(tarn_features_v3 -mavx2 -mfma -mf16c -mbmi -mbmi2 -mlzcnt -mmovbe -mpopcnt)
set(tarn_features_v4 -mavx512f -mavx512cd -mavx512bw -mavx512dq -mavx512vl)
set(TARN_TIER_OPTIONS_sse2
    -march=x86-64 -mno-sse3 -mno-bmi -mno-bmi2 -mno-lzcnt -mno-movbe -mno-popcnt -mno-gfni)
set(TARN_TIER_OPTIONS_avx2
    -march=x86-64-v3 ${tarn_features_v3} -mno-avx512f -mno-avxvnni -mno-gfni)
set(TARN_TIER_OPTIONS_avx512
    -march=x86-64-v4 ${tarn_features_v3} ${tarn_features_v4} -mno-avx512ifma -mno-avx512vbmi -mno-avx512vbmi2
    -mno-avx512vnni -mno-avx512bitalg -mno-avx512vpopcntdq -mno-avx512bf16 -mno-avx512fp16 -mno-avxvnni -mno-gfni)

# The kernels' speed, their independence of the instruction sets of other files, and their NaN rules rest on these. Options
# of a source file come last on the command line, so they win over the flags and the build type of a parent project.
set(TARN_KERNEL_OPTIONS -O2 -finline -fno-fast-math -fno-lto)
# g++ looks for what may alias in long functions made of inlined ones for more than half of its time. The code is the same
# to 0.2 % of its size if it does not.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND TARN_KERNEL_OPTIONS
        -fno-ipa-modref -fno-tree-pta --param=ipa-max-aa-steps=0 --param=sccvn-max-alias-queries-per-access=20)
    # Structures of packs are copied in pieces as wide as those are read in: narrower stores are not forwarded to a wide
    # load, which then waits for them. Header-only, that is up to the caller's -mtune.
    list(APPEND TARN_TIER_OPTIONS_avx2 -mmove-max=256 -mstore-max=256)
    list(APPEND TARN_TIER_OPTIONS_avx512 -mmove-max=512 -mstore-max=512)
endif()

set(TARN_DISPATCH_MAX_ISA avx512 CACHE STRING "The newest instruction set that tarn::dispatch has kernels for")
set_property(CACHE TARN_DISPATCH_MAX_ISA PROPERTY STRINGS sse2 avx2 avx512)

# The families of kernels, and those whose kernels operators of another family call. `convert` is called by all.
set(tarn_families
    softmax log_softmax softmax_backward softmax_state masked_softmax masked_softmax_backward softpick top_k
    sparse_softmax pool pool_backward gem gem_backward soft_pool soft_pool_backward ada_pool ada_pool_backward ada_unpool
    token_pool token_merge token_cluster)
set(tarn_families_used_by_masked_softmax softmax)
set(tarn_families_used_by_token_cluster token_merge)

set(TARN_DISPATCH_FAMILIES all CACHE STRING "The operators that tarn::dispatch has kernels for: all, or some of ${tarn_families}")

# tarn_dispatch_families(<variable>)
#
# Sets <variable> to the families of kernels that TARN_DISPATCH_FAMILIES asks for.
function(tarn_dispatch_families variable)
    set(wanted ${TARN_DISPATCH_FAMILIES})
    if(wanted STREQUAL "all")
        set(wanted ${tarn_families})
    endif()
    foreach(family IN LISTS wanted)
        if(NOT family IN_LIST tarn_families)
            message(FATAL_ERROR "tarn: TARN_DISPATCH_FAMILIES names \"${family}\", expected all or some of ${tarn_families}")
        endif()
        list(APPEND wanted ${tarn_families_used_by_${family}})
    endforeach()
    list(PREPEND wanted convert)
    list(REMOVE_DUPLICATES wanted)
    set(${variable} ${wanted} PARENT_SCOPE)
endfunction()

# tarn_add_dispatch(<target>)
#
# Adds the static library <target>: for every family one file per tier, up to TARN_DISPATCH_MAX_ISA, that includes
# <tarn/dispatch/<family>_kernels.hpp> and one for the oldest CPU that includes <tarn/dispatch/<family>_lookup.hpp>, and one
# for the oldest CPU that detects the CPU. The files are written into the build tree.
function(tarn_add_dispatch target)
    if(NOT TARN_HAS_XSIMD)
        # Whoever links it is told at configure time what is missing.
        add_library(${target} INTERFACE)
        target_link_libraries(${target} INTERFACE tarn_xsimd)
        return()
    endif()

    set(tiers sse2 avx2 avx512)
    list(FIND tiers "${TARN_DISPATCH_MAX_ISA}" newest)
    if(newest LESS 0)
        message(FATAL_ERROR "tarn: TARN_DISPATCH_MAX_ISA is \"${TARN_DISPATCH_MAX_ISA}\", expected sse2, avx2 or avx512")
    endif()
    math(EXPR count "${newest} + 1")
    list(SUBLIST tiers 0 ${count} tiers)

    add_library(${target} STATIC)
    tarn_dispatch_families(families)
    foreach(family IN LISTS families)
        foreach(tier IN LISTS tiers)
            tarn_add_dispatch_source(${target} ${family}_${tier} ${tier} TARN_KERNEL_TIER_${tier} ${family}_kernels)
        endforeach()
        tarn_add_dispatch_source(${target} ${family}_lookup sse2 TARN_DISPATCH ${family}_lookup)
    endforeach()
    tarn_add_dispatch_source(${target} detect sse2 TARN_DISPATCH detect)

    target_compile_features(${target} PUBLIC cxx_std_17)
    target_compile_definitions(${target} INTERFACE TARN_DISPATCH=1 PRIVATE TARN_DISPATCH_TIERS=${count})
    target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
    target_include_directories(${target} SYSTEM PRIVATE
        $<TARGET_PROPERTY:tarn_xsimd,INTERFACE_INCLUDE_DIRECTORIES>)
    tarn_set_warnings(${target})
    set_target_properties(${target} PROPERTIES
        EXPORT_NAME dispatch
        CXX_VISIBILITY_PRESET hidden
        VISIBILITY_INLINES_HIDDEN ON
        POSITION_INDEPENDENT_CODE ON
        INTERPROCEDURAL_OPTIMIZATION OFF
        UNITY_BUILD OFF
        DISABLE_PRECOMPILE_HEADERS ON)
    if(NOT PROJECT_IS_TOP_LEVEL AND NOT TARN_INSTALL)
        set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON)
    endif()
endfunction()

# Adds to <target> a generated file <name>.cpp that defines <definition> and includes <tarn/dispatch/<header>.hpp>, compiled
# for <tier>.
function(tarn_add_dispatch_source target name tier definition header)
    set(file "${PROJECT_BINARY_DIR}/dispatch/${name}.cpp")
    file(CONFIGURE OUTPUT "${file}" CONTENT "#define ${definition} 1\n#include <tarn/dispatch/${header}.hpp>\n" @ONLY)
    target_sources(${target} PRIVATE "${file}")
    set_source_files_properties("${file}" PROPERTIES
        COMPILE_OPTIONS "${TARN_TIER_OPTIONS_${tier}};${TARN_KERNEL_OPTIONS}")
endfunction()
