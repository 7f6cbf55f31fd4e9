# SPDX-License-Identifier: BSD-3-Clause
#
# Installs the headers, the dispatch library, the CMake package and the pkg-config files. The installed tree can be moved.

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(tarn_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tarn)

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/tarn" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.hpp")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/tarn)
install(TARGETS tarn tarn_dispatch EXPORT tarnTargets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT tarnTargets NAMESPACE tarn:: DESTINATION ${tarn_package_dir})

# Before 1.0 a minor version may change the interface. The package holds a library, so the size of a pointer counts.
if(PROJECT_VERSION_MAJOR EQUAL 0)
    set(tarn_compatibility SameMinorVersion)
else()
    set(tarn_compatibility SameMajorVersion)
endif()
write_basic_package_version_file("${PROJECT_BINARY_DIR}/package/tarnConfigVersion.cmake"
    COMPATIBILITY ${tarn_compatibility})
configure_package_config_file(cmake/tarnConfig.cmake.in "${PROJECT_BINARY_DIR}/package/tarnConfig.cmake"
    INSTALL_DESTINATION ${tarn_package_dir}
    NO_SET_AND_CHECK_MACRO)
install(FILES
    "${PROJECT_BINARY_DIR}/package/tarnConfig.cmake"
    "${PROJECT_BINARY_DIR}/package/tarnConfigVersion.cmake"
    "${PROJECT_SOURCE_DIR}/cmake/TarnXsimd.cmake"
    DESTINATION ${tarn_package_dir})

# Installs <file>.pc from cmake/<file>.pc.in into <directory>; its paths are relative to itself.
function(tarn_install_pkg_config file directory)
    cmake_path(ABSOLUTE_PATH directory BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}" OUTPUT_VARIABLE absolute)
    cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_INCLUDEDIR BASE_DIRECTORY "${absolute}" OUTPUT_VARIABLE tarn_pc_includedir)
    cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY "${absolute}" OUTPUT_VARIABLE tarn_pc_libdir)
    configure_file(cmake/${file}.pc.in "${PROJECT_BINARY_DIR}/package/${file}.pc" @ONLY)
    install(FILES "${PROJECT_BINARY_DIR}/package/${file}.pc" DESTINATION ${directory})
endfunction()

tarn_install_pkg_config(tarn ${CMAKE_INSTALL_DATAROOTDIR}/pkgconfig)
tarn_install_pkg_config(tarn-dispatch ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
