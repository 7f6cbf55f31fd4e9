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

# Looks, in this order, at the variable (CMake's, then the environment's) TARN_XSIMD_INCLUDE_DIR, at a target that the
# project defined before, at find_package, and at the usual header directories. The first place that has an xsimd decides.
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
        # No version argument: the version files of xsimd accept one major version only. The project's cache stays as it was.
        set(had_cache_entry OFF)
        if(DEFINED CACHE{xsimd_DIR})
            set(had_cache_entry ON)
        endif()
        find_package(xsimd CONFIG QUIET)
        if(NOT had_cache_entry)
            unset(xsimd_DIR CACHE)
        endif()
        if(xsimd_FOUND AND TARGET xsimd)
            tarn_get_target_include_directory(xsimd candidate)
            set(origin "find_package")
        endif()
    endif()

    if(NOT candidate AND NOT origin)
        find_path(tarn_xsimd_path xsimd/xsimd.hpp NO_CACHE)
        if(tarn_xsimd_path)
            set(candidate "${tarn_xsimd_path}")
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
