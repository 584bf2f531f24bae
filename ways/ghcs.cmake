# Which GHCs to build interpreters for.

# The versions that have a wire table.
set(ghc_versions_file ${PROJECT_SOURCE_DIR}/protocol/ghc-versions.txt)
file(STRINGS ${ghc_versions_file} known_ghc_versions REGEX "^[0-9]")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${ghc_versions_file})
list(JOIN known_ghc_versions ", " known_ghc_versions_text)

# Sets `versions` to the versions of the GHCs to build for and, for each, ghc_<version> to its program and
# ghc_libdir_<version> to where its libraries are. `wanted` are programs, or the word default: then those of
# this machine that have a wire table, one for each version.
function(splicehost_select_ghcs wanted versions)
  set(found)
  set(complain FATAL_ERROR)
  set(candidates ${wanted})
  if(wanted STREQUAL "default")
    set(complain STATUS)
    find_program(ghc_in_path ghc NO_CACHE)
    file(GLOB ghcup_ghcs $ENV{HOME}/.ghcup/bin/ghc-*.*.*)
    file(GLOB opt_ghcs /opt/ghc/*/bin/ghc)
    set(candidates ${ghcup_ghcs} ${opt_ghcs})
    if(ghc_in_path)
      list(PREPEND candidates ${ghc_in_path})
    endif()
  endif()

  foreach(candidate IN LISTS candidates)
    unset(ghc)
    find_program(ghc ${candidate} NO_CACHE)
    if(NOT ghc)
      message(${complain} "There is no program ${candidate}.")
      continue()
    endif()
    # A GHC of the target's system is run there.
    set(run ${ghc})
    set(prefix "")
    if(CMAKE_SYSROOT)
      cmake_path(IS_PREFIX CMAKE_SYSROOT ${ghc} NORMALIZE of_target)
      if(of_target)
        cmake_path(RELATIVE_PATH ghc BASE_DIRECTORY ${CMAKE_SYSROOT} OUTPUT_VARIABLE path_there)
        set(run ${PROJECT_SOURCE_DIR}/ways/run-in-sysroot ${CMAKE_SYSROOT} /${path_there})
        set(prefix ${CMAKE_SYSROOT})
      endif()
    endif()
    execute_process(COMMAND ${run} --numeric-version OUTPUT_VARIABLE version OUTPUT_STRIP_TRAILING_WHITESPACE
                    RESULT_VARIABLE version_result ERROR_QUIET)
    execute_process(COMMAND ${run} --print-libdir OUTPUT_VARIABLE libdir OUTPUT_STRIP_TRAILING_WHITESPACE
                    RESULT_VARIABLE libdir_result ERROR_QUIET)
    if(NOT version_result STREQUAL "0" OR NOT libdir_result STREQUAL "0")
      message(${complain} "${ghc} does not tell its version and library directory; is it a GHC?")
    elseif(NOT version IN_LIST known_ghc_versions)
      message(${complain} "GHC ${version} (${ghc}) has no wire table in this Splicehost, "
        "which has those of GHC ${known_ghc_versions_text}.")
    elseif(NOT version IN_LIST found)
      message(STATUS "GHC ${version}: ${ghc}")
      list(APPEND found ${version})
      set(ghc_${version} ${ghc} PARENT_SCOPE)
      set(ghc_libdir_${version} ${prefix}${libdir} PARENT_SCOPE)
    elseif(NOT wanted STREQUAL "default")
      message(FATAL_ERROR "${ghc} is a second GHC ${version}; there is one directory of interpreters for each version.")
    endif()
  endforeach()
  if(wanted STREQUAL "default" AND NOT found)
    message(FATAL_ERROR "There is no GHC with a wire table (${known_ghc_versions_text}) in PATH, ~/.ghcup/bin or "
      "/opt/ghc. Name one with -DSPLICEHOST_GHCS=/path/to/ghc; -DSPLICEHOST_GHCS= builds no interpreters.")
  endif()
  set(${versions} ${found} PARENT_SCOPE)
endfunction()
