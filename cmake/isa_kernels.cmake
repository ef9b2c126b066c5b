# Adds the kernels to `target`, every ISA file with its own instruction-set flags. Nothing
# else is compiled with them: the rest of the library runs on the baseline CPU.
function(voxhop_add_isa_kernels target)
  set(dir ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../csrc/kernels)
  target_include_directories(${target} PRIVATE ${dir}/..)
  target_sources(${target} PRIVATE ${dir}/dispatch.cpp ${dir}/pack.cpp ${dir}/isa_scalar.cpp)

  # A sanitizer at -O3 keeps the compiler busy for ten minutes a file.
  set(optimise -O3)
  if(VOXHOP_SANITIZE)
    set(optimise -O1)
  endif()

  # GCC reports uninitialised variables inside its own avx512 headers.
  set(quiet "")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    set(quiet "-Wno-maybe-uninitialized;-Wno-uninitialized")
  endif()

  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" AND NOT MSVC)
    target_compile_definitions(${target} PRIVATE VOXHOP_KERNELS_X86)
    set(avx2 -mavx2 -mfma -mf16c)
    set(avx512 ${avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
    set(flags_avx2 ${avx2})
    set(flags_avx512 ${avx512})
    set(flags_avx512_bf16 ${avx512} -mavx512bf16)
    set(flags_avx512_vnni ${avx512} -mavx512vnni)
    set(amx -mamx-tile -mamx-int8 -mamx-bf16)
    set(flags_amx ${avx512} ${amx})
    set(isas avx2 avx512 avx512_bf16 avx512_vnni)
    include(CheckCXXSourceCompiles)
    # Its assembler has to know the prefix; no flag, as the instructions are inline assembly.
    check_cxx_source_compiles("int main() {
        asm volatile(\"%{vex%} vpdpbusd %%ymm2, %%ymm1, %%ymm0\" : : : \"xmm0\");
      }" VOXHOP_HAS_AVX_VNNI)
    if(VOXHOP_HAS_AVX_VNNI)
      target_compile_definitions(${target} PRIVATE VOXHOP_KERNELS_AVX_VNNI)
      set(flags_avx2_vnni ${avx2})
      list(APPEND isas avx2_vnni)
    endif()
    # Linux, because a process has to ask for tiles, and how is known there alone.
    if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
      list(JOIN amx " " CMAKE_REQUIRED_FLAGS)
      check_cxx_source_compiles("int main() {
          asm volatile(\"tdpbssd %tmm2, %tmm1, %tmm0\");
          asm volatile(\"tdpbf16ps %tmm2, %tmm1, %tmm0\");
        }" VOXHOP_HAS_AMX)
      unset(CMAKE_REQUIRED_FLAGS)
    endif()
    if(VOXHOP_HAS_AMX)
      target_compile_definitions(${target} PRIVATE VOXHOP_KERNELS_AMX)
      target_sources(${target} PRIVATE ${dir}/amx_permission.cpp)
      list(APPEND isas amx)
    endif()
    foreach(isa ${isas})
      target_sources(${target} PRIVATE ${dir}/isa_${isa}.cpp)
      set_source_files_properties(${dir}/isa_${isa}.cpp TARGET_DIRECTORY ${target}
                                  PROPERTIES COMPILE_OPTIONS "${flags_${isa}};${optimise};${quiet}")
    endforeach()
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$" AND NOT MSVC)
    target_compile_definitions(${target} PRIVATE VOXHOP_KERNELS_NEON)
    set(flags_neon_dotprod -march=armv8.2-a+dotprod)
    foreach(isa neon neon_dotprod)
      target_sources(${target} PRIVATE ${dir}/isa_${isa}.cpp)
      set_source_files_properties(${dir}/isa_${isa}.cpp TARGET_DIRECTORY ${target}
                                  PROPERTIES COMPILE_OPTIONS "${flags_${isa}};${optimise}")
    endforeach()
  endif()
endfunction()
