# Finds the pinned ggml source and sets GGML_SOURCE_DIR. Order:
#   1. VOXHOP_GGML_SOURCE_DIR, a folder with ggml's own CMakeLists.txt;
#   2. a cached copy of the pinned archive, checked by sha256;
#   3. the pinned source distribution, fetched by name with pip, checked, cached.

set(GGML_PIN_PACKAGE "libggml-python")
set(GGML_PIN_PACKAGE_VERSION "0.20.2.post1")
set(GGML_PIN_VERSION "0.20.2")
set(GGML_PIN_ARCHIVE "libggml_python-${GGML_PIN_PACKAGE_VERSION}.tar.gz")
set(GGML_PIN_SHA256 "e47ff53506342959ffb3ce15380b82828fea10ec5f208f9ef6915895f1a7a176")

set(VOXHOP_GGML_SOURCE_DIR "" CACHE PATH "Folder with an unpacked ggml source tree")

if(DEFINED ENV{XDG_CACHE_HOME})
  set(_ggml_cache "$ENV{XDG_CACHE_HOME}/voxhop")
elseif(DEFINED ENV{LOCALAPPDATA})
  set(_ggml_cache "$ENV{LOCALAPPDATA}/voxhop/cache")
elseif(DEFINED ENV{HOME})
  set(_ggml_cache "$ENV{HOME}/.cache/voxhop")
else()
  set(_ggml_cache "${CMAKE_BINARY_DIR}/_cache")
endif()
set(VOXHOP_GGML_CACHE_DIR "${_ggml_cache}" CACHE PATH "Where the ggml archive is kept")

function(_ggml_archive_is_good path result)
  set(${result} FALSE PARENT_SCOPE)
  if(EXISTS "${path}")
    file(SHA256 "${path}" _sum)
    if(_sum STREQUAL GGML_PIN_SHA256)
      set(${result} TRUE PARENT_SCOPE)
    else()
      message(WARNING "${path}: sha256 ${_sum}, expected ${GGML_PIN_SHA256}; ignored")
    endif()
  endif()
endfunction()

function(_ggml_fetch_with_pip archive)
  find_package(Python COMPONENTS Interpreter QUIET)
  if(NOT Python_FOUND)
    message(FATAL_ERROR "ggml: no Python interpreter to fetch ${GGML_PIN_ARCHIVE} with; "
            "set VOXHOP_GGML_SOURCE_DIR or put the archive into ${VOXHOP_GGML_CACHE_DIR}")
  endif()
  # A folder of this build only: two builds may fetch at the same time.
  set(_into "${CMAKE_BINARY_DIR}/_ggml_download")
  file(MAKE_DIRECTORY "${_into}")
  message(STATUS "ggml: fetching ${GGML_PIN_PACKAGE} ${GGML_PIN_PACKAGE_VERSION} (source) with pip")
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -m pip download --quiet --no-deps
            --no-binary ${GGML_PIN_PACKAGE} --dest "${_into}"
            "${GGML_PIN_PACKAGE}==${GGML_PIN_PACKAGE_VERSION}"
    RESULT_VARIABLE _code ERROR_VARIABLE _stderr)
  if(NOT _code EQUAL 0)
    message(FATAL_ERROR "ggml: pip could not fetch "
            "${GGML_PIN_PACKAGE}==${GGML_PIN_PACKAGE_VERSION}:\n${_stderr}\n"
            "Set VOXHOP_GGML_SOURCE_DIR or put ${GGML_PIN_ARCHIVE} into "
            "${VOXHOP_GGML_CACHE_DIR}")
  endif()
  _ggml_archive_is_good("${_into}/${GGML_PIN_ARCHIVE}" _good)
  if(NOT _good)
    message(FATAL_ERROR "ggml: pip did not deliver ${GGML_PIN_ARCHIVE} with the pinned sha256")
  endif()
  # Copy beside it, then rename: a cached archive is whole or absent.
  string(RANDOM LENGTH 8 _suffix)
  configure_file("${_into}/${GGML_PIN_ARCHIVE}" "${archive}.${_suffix}" COPYONLY)
  file(RENAME "${archive}.${_suffix}" "${archive}")
endfunction()

if(VOXHOP_GGML_SOURCE_DIR)
  if(NOT EXISTS "${VOXHOP_GGML_SOURCE_DIR}/include/ggml.h")
    message(FATAL_ERROR "VOXHOP_GGML_SOURCE_DIR=${VOXHOP_GGML_SOURCE_DIR}: no include/ggml.h there")
  endif()
  set(GGML_SOURCE_DIR "${VOXHOP_GGML_SOURCE_DIR}")
else()
  set(_archive "${VOXHOP_GGML_CACHE_DIR}/${GGML_PIN_ARCHIVE}")
  _ggml_archive_is_good("${_archive}" _good)
  if(NOT _good)
    _ggml_fetch_with_pip("${_archive}")
  endif()
  set(_unpacked "${CMAKE_BINARY_DIR}/_ggml_source")
  set(GGML_SOURCE_DIR "${_unpacked}/libggml_python-${GGML_PIN_PACKAGE_VERSION}/ggml")
  if(NOT EXISTS "${GGML_SOURCE_DIR}/include/ggml.h")
    file(ARCHIVE_EXTRACT INPUT "${_archive}" DESTINATION "${_unpacked}")
  endif()
endif()

file(STRINGS "${GGML_SOURCE_DIR}/CMakeLists.txt" _version_lines
     REGEX "^set\\(GGML_VERSION_(MAJOR|MINOR|PATCH) [0-9]+\\)")
string(REGEX REPLACE "[^0-9;]" "" _version_numbers "${_version_lines}")
string(REPLACE ";" "." _version "${_version_numbers}")
if(NOT _version STREQUAL GGML_PIN_VERSION)
  message(FATAL_ERROR "${GGML_SOURCE_DIR}: ggml ${_version}, expected ${GGML_PIN_VERSION}")
endif()
message(STATUS "ggml ${_version}: ${GGML_SOURCE_DIR}")
