# A CMake toolchain file, to build for a target of another architecture from this machine:
#
#   cmake -B BUILD --toolchain ways/cross.cmake -DSPLICEHOST_TRIPLE=aarch64-linux-gnu -DCMAKE_SYSROOT=ROOT ...
#
# The triple is what the names of the cross compiler's programs begin with (Debian: g++-aarch64-linux-gnu). ROOT is a
# root directory of the target's system, in which the libraries are installed that a native build needs there.
# docs/cross.md shows all of it.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES SPLICEHOST_TRIPLE)
if(NOT SPLICEHOST_TRIPLE OR NOT CMAKE_SYSROOT)
  message(FATAL_ERROR "ways/cross.cmake needs -DSPLICEHOST_TRIPLE=aarch64-linux-gnu (for instance) and -DCMAKE_SYSROOT=ROOT")
endif()
string(REGEX MATCH "^[^-]+" CMAKE_SYSTEM_PROCESSOR ${SPLICEHOST_TRIPLE})
set(CMAKE_CXX_COMPILER ${SPLICEHOST_TRIPLE}-g++)
set(CMAKE_LIBRARY_ARCHITECTURE ${SPLICEHOST_TRIPLE})
# Programs run here; everything else is the target's.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMAKE_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${CMAKE_SYSROOT}/usr/lib/${SPLICEHOST_TRIPLE}/pkgconfig:${CMAKE_SYSROOT}/usr/lib/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig)
