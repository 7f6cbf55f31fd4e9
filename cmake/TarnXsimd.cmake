# SPDX-License-Identifier: BSD-3-Clause
#
# Finds the headers of xsimd. Shared by tarn's own build and by the installed package.
#
# Only the include directory is ever used: some distributions ship an xsimd target that links a library which their package
# does not bring along.

set(TARN_XSIMD_MINIMUM 8.1.0)

# Sets <version> to the version of the xsimd headers in <directory>; empty if there are none.
function(tarn_read_xsimd_version directory version)
    set(${version} "" PARENT_SCOPE)
    set(header "${directory}/xsimd/config/xsimd_config.hpp")
    if(NOT EXISTS "${header}")
        return()
    endif()
    file(STRINGS "${header}" lines REGEX "^#define XSIMD_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
    list(TRANSFORM lines REPLACE "^#define XSIMD_VERSION_[A-Z]+ ([0-9]+).*$" "\\1")
    list(JOIN lines "." found)
    set(${version} "${found}" PARENT_SCOPE)
endfunction()

# Sets <result> to the include directory that the target <name> offers.
function(tarn_get_target_include_directory name result)
    get_target_property(directories ${name} INTERFACE_INCLUDE_DIRECTORIES)
    set(${result} "" PARENT_SCOPE)
    foreach(directory IN LISTS directories)
        string(REGEX REPLACE "^\\$<BUILD_INTERFACE:(.*)>$" "\\1" directory "${directory}")
        if(EXISTS "${directory}/xsimd/xsimd.hpp")
            set(${result} "${directory}" PARENT_SCOPE)
            return()
        endif()
    endforeach()
endfunction()

# Sets <result> to the include directory of an xsimd where find_package(xsimd) would look for one: xsimd_ROOT and xsimd_DIR
# (CMake's, then the environment's), CMAKE_PREFIX_PATH, and the directories of the system. The package itself is not loaded:
# its target would stay behind in the user's project and take a name that is not tarn's.
function(tarn_find_xsimd_header result)
    set(roots "${xsimd_ROOT}" "$ENV{xsimd_ROOT}")
    # The package file lies in <root>/lib/cmake/xsimd or <root>/share/cmake/xsimd.
    foreach(directory IN ITEMS "${xsimd_DIR}" "$ENV{xsimd_DIR}")
        if(directory)
            list(APPEND roots "${directory}/../../..")
        endif()
    endforeach()
    list(REMOVE_ITEM roots "")
    find_path(tarn_xsimd_path xsimd/xsimd.hpp HINTS ${roots} PATH_SUFFIXES include NO_CACHE)
    set(${result} "" PARENT_SCOPE)
    if(tarn_xsimd_path)
        get_filename_component(directory "${tarn_xsimd_path}" ABSOLUTE)
        set(${result} "${directory}" PARENT_SCOPE)
    endif()
endfunction()

# Looks, in this order, at the variable (CMake's, then the environment's) TARN_XSIMD_INCLUDE_DIR, at a target that the
# project defined before, and at the places where find_package would look. The first place that has an xsimd decides.
#   <directory>  include directory of an xsimd that is new enough, else empty
#   <reason>     what was found, or why nothing was
function(tarn_find_xsimd directory reason)
    set(candidate "")
    set(origin "")
    if(TARN_XSIMD_INCLUDE_DIR)
        set(candidate "${TARN_XSIMD_INCLUDE_DIR}")
        set(origin "TARN_XSIMD_INCLUDE_DIR=${candidate}")
    elseif(NOT "$ENV{TARN_XSIMD_INCLUDE_DIR}" STREQUAL "")
        set(candidate "$ENV{TARN_XSIMD_INCLUDE_DIR}")
        set(origin "environment variable TARN_XSIMD_INCLUDE_DIR=${candidate}")
    endif()

    if(NOT origin)
        foreach(name IN ITEMS xsimd::xsimd xsimd)
            if(NOT candidate AND TARGET ${name})
                tarn_get_target_include_directory(${name} candidate)
                set(origin "target ${name}")
            endif()
        endforeach()
    endif()

    if(NOT candidate AND NOT origin)
        tarn_find_xsimd_header(candidate)
        if(candidate)
            set(origin "header search")
        endif()
    endif()

    set(${directory} "" PARENT_SCOPE)
    if(NOT origin)
        set(${reason} "not found" PARENT_SCOPE)
        return()
    endif()
    tarn_read_xsimd_version("${candidate}" version)
    if(NOT version)
        set(${reason} "no xsimd headers there (${origin})" PARENT_SCOPE)
    elseif(version VERSION_LESS TARN_XSIMD_MINIMUM)
        set(${reason} "found ${version} (${origin}), too old" PARENT_SCOPE)
    else()
        set(${directory} "${candidate}" PARENT_SCOPE)
        set(${reason} "${version} in ${candidate} (${origin})" PARENT_SCOPE)
    endif()
endfunction()

# Makes <target> carry the include directory of xsimd. Without an xsimd that is new enough, whoever links <target> is
# stopped at configure time by the name of a target that does not exist; nobody else is.
function(tarn_describe_xsimd target directory)
    if(directory)
        target_include_directories(${target} SYSTEM INTERFACE "${directory}")
    else()
        target_link_libraries(${target} INTERFACE
            "tarn::needs_xsimd_${TARN_XSIMD_MINIMUM}_or_newer__install_it_or_set_TARN_XSIMD_INCLUDE_DIR")
    endif()
endfunction()
