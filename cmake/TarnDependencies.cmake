# SPDX-License-Identifier: BSD-3-Clause
#
# What tarn's own build needs. Users of tarn::tarn need xsimd; users of an installed tarn::dispatch need nothing; Eigen,
# GoogleTest and Google Benchmark are for the tests, benches and examples.

include("${CMAKE_CURRENT_LIST_DIR}/TarnXsimd.cmake")

set(TARN_XSIMD_INCLUDE_DIR "" CACHE PATH "Directory that holds xsimd/xsimd.hpp; empty: search")

# Sets <directory> to the include directory of a downloaded xsimd. A project that declared its own `xsimd` before gets that.
function(tarn_fetch_xsimd directory)
    include(FetchContent)
    FetchContent_Declare(xsimd
        GIT_REPOSITORY https://github.com/xtensor-stack/xsimd.git
        GIT_TAG 14.1.0
        GIT_SHALLOW ON
        SOURCE_SUBDIR include/xsimd) # a folder without CMakeLists.txt: its build files are not wanted
    FetchContent_MakeAvailable(xsimd)
    set(${directory} "${xsimd_SOURCE_DIR}/include" PARENT_SCOPE)
endfunction()

# Defines the INTERFACE target tarn_xsimd. TARN_HAS_XSIMD tells the caller whether there is anything behind it.
function(tarn_provide_xsimd)
    tarn_find_xsimd(directory reason)
    if(NOT directory AND TARN_FETCH_DEPS)
        tarn_fetch_xsimd(directory)
        tarn_read_xsimd_version("${directory}" version)
        set(reason "${version} in ${directory} (downloaded)")
    endif()
    add_library(tarn_xsimd INTERFACE)
    tarn_describe_xsimd(tarn_xsimd "${directory}")
    if(directory)
        message(STATUS "tarn: xsimd ${reason}")
        set(TARN_HAS_XSIMD ON PARENT_SCOPE)
        return()
    endif()
    set(TARN_HAS_XSIMD OFF PARENT_SCOPE)
    set(text "tarn: xsimd >= ${TARN_XSIMD_MINIMUM}: ${reason}. Install it (Debian: libxsimd-dev), or set TARN_XSIMD_INCLUDE_DIR")
    string(APPEND text " to a directory that holds xsimd/xsimd.hpp, or set TARN_FETCH_DEPS=ON to download it.")
    if(TARN_BUILD_TESTS OR TARN_BUILD_BENCH OR TARN_BUILD_EXAMPLES OR TARN_INSTALL)
        message(FATAL_ERROR "${text}")
    endif()
    message(STATUS "${text} Targets that link tarn::tarn or tarn::dispatch cannot be built before that.")
endfunction()

# Eigen 3.4 or newer as Eigen3::Eigen. No version argument: Eigen's version files accept one major version only.
macro(tarn_require_eigen)
    find_package(Eigen3 CONFIG QUIET)
    if(NOT Eigen3_FOUND OR Eigen3_VERSION VERSION_LESS 3.4)
        message(FATAL_ERROR "tarn: the tests, benches and examples need Eigen >= 3.4 (Debian: libeigen3-dev), "
                            "found: ${Eigen3_VERSION}")
    endif()
endmacro()

# GoogleTest as GTest::gtest and GTest::gtest_main.
macro(tarn_require_gtest)
    find_package(GTest QUIET)
    if(NOT GTest_FOUND)
        message(FATAL_ERROR "tarn: the tests need GoogleTest (Debian: libgtest-dev), or set TARN_BUILD_TESTS=OFF")
    endif()
endmacro()

# RapidCheck as rapidcheck.
macro(tarn_require_rapidcheck)
    find_package(rapidcheck CONFIG QUIET)
    if(NOT rapidcheck_FOUND)
        message(FATAL_ERROR "tarn: the tests need RapidCheck (Debian: librapidcheck-dev), or set TARN_BUILD_TESTS=OFF")
    endif()
endmacro()

# Google Benchmark as benchmark::benchmark.
macro(tarn_require_benchmark)
    find_package(benchmark CONFIG QUIET)
    if(NOT benchmark_FOUND)
        message(FATAL_ERROR "tarn: the benches need Google Benchmark (Debian: libbenchmark-dev), or set TARN_BUILD_BENCH=OFF")
    endif()
endmacro()
