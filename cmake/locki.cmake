# How a folder becomes a target. `locki_library(base)` is src/base/*.cc; `locki_unit_test(base)` is tests/unit/base/*.cc.
find_package(PkgConfig REQUIRED)
find_package(tl-expected REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
# The endpoint is a static program, and pkg-config names the shared library only.
find_library(LOCKI_SODIUM_ARCHIVE libsodium.a)
if(LOCKI_SODIUM_ARCHIVE)
  set_target_properties(PkgConfig::SODIUM PROPERTIES INTERFACE_LINK_LIBRARIES ${LOCKI_SODIUM_ARCHIVE})
endif()
find_path(LOCKI_BOOST_INCLUDE boost/json.hpp REQUIRED)

find_program(LOCKI_CCACHE ccache)
if(LOCKI_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${LOCKI_CCACHE})
endif()

add_library(locki_options INTERFACE)
# -iquote, not -I: our "sys/file.h" must never stand in for the system's <sys/file.h>.
target_compile_options(locki_options INTERFACE "SHELL:-iquote ${CMAKE_SOURCE_DIR}/src")
target_compile_options(locki_options INTERFACE -Wall -Wextra -Wshadow -Wpedantic -Wconversion
  # Sizes and offsets cross signedness at every system call; -Wconversion still catches what narrows.
  -Wno-sign-conversion
  # Named-field option structs leave most fields at their defaults: that is what they are for.
  -Wno-missing-field-initializers
  $<$<BOOL:${LOCKI_WERROR}>:-Werror> -fstack-protector-strong -D_FILE_OFFSET_BITS=64)
target_compile_definitions(locki_options INTERFACE
  $<$<BOOL:${LOCKI_FAULTS}>:LOCKI_FAULTS> LOCKI_VERSION="${PROJECT_VERSION}"
  $<$<CONFIG:Release,RelWithDebInfo>:_FORTIFY_SOURCE=2>)
if(LOCKI_SANITIZE)
  target_compile_options(locki_options INTERFACE -fsanitize=${LOCKI_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(locki_options INTERFACE -fsanitize=${LOCKI_SANITIZE})
endif()
# Every library counts what it runs; only the fuzz targets themselves have libFuzzer's main().
if(LOCKI_FUZZ)
  target_compile_options(locki_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# locki_library(FOLDER [DEPS ...]): the static library locki_FOLDER. DEPS are other targets; only downward ones pass the layer check.
function(locki_library folder)
  cmake_parse_arguments(arg "" "" "DEPS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  list(FILTER sources EXCLUDE REGEX "main[^/]*\\.cc$")
  add_library(locki_${folder} STATIC ${sources})
  target_link_libraries(locki_${folder} PUBLIC locki_options ${arg_DEPS})
endfunction()

# locki_unit_test(FOLDER [DEPS ...]): the program unit_FOLDER from tests/unit/FOLDER, linked with locki_FOLDER and tests/support.
function(locki_unit_test folder)
  cmake_parse_arguments(arg "" "" "DEPS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/${folder}/*.cc)
  if(NOT sources)
    return()
  endif()
  add_executable(unit_${folder} ${sources})
  target_link_libraries(unit_${folder} PRIVATE locki_${folder} ${arg_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
  target_compile_options(unit_${folder} PRIVATE "SHELL:-iquote ${CMAKE_SOURCE_DIR}/tests")
  target_compile_definitions(unit_${folder} PRIVATE LOCKI_SOURCE_DIR="${CMAKE_SOURCE_DIR}" LOCKI_BINARY_DIR="${CMAKE_BINARY_DIR}")
  add_test(NAME unit_${folder} COMMAND unit_${folder})
  set_tests_properties(unit_${folder} PROPERTIES TIMEOUT 300 LABELS unit)
endfunction()
