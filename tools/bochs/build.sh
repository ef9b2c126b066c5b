#!/usr/bin/env bash
# Builds Bochs with AVX-512 and AMX from the source package of Debian trixie, for run.sh.
#
# tools/bochs/build.sh FOLDER     -> FOLDER/bochs and FOLDER/vmlinuz, a Linux kernel for it
#
# Needs Debian or a relative of it, and: apt-get install build-essential xz-utils
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
version=3.0+dfsg-1
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' \
  'Label: Debian' | head -n 1)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -x "$folder/bochs" ] && [ -f "$folder/vmlinuz" ] && exit 0
[ -n "$mirror" ] || {
  echo "build.sh: no mirror of Debian among apt's sources" >&2
  exit 2
}

# A package state of its own: the system's sources and packages stay as they are.
apt=$folder/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
cat > "$apt/sources.list" <<END
deb-src [signed-by=$keyring] $mirror trixie main
deb [signed-by=$keyring] $mirror bookworm main
END
options=(-qq -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)

cd "$folder"
apt-get "${options[@]}" update
if [ ! -f vmlinuz ]; then
  image=$(apt-cache "${options[@]}" depends linux-image-cloud-amd64 |
    sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1)
  apt-get "${options[@]}" download "$image"
  dpkg-deb -x linux-image-*.deb kernel
  mv kernel/boot/vmlinuz-* vmlinuz
  rm -rf kernel linux-image-*.deb
fi
apt-get "${options[@]}" source --tar-only "bochs=$version"
rm -rf source
mkdir source
tar -xJf bochs_*.orig.tar.xz -C source --strip-components=1
cd source

# Bochs 3.0 multiplies the signed bytes of a tile as unsigned ones.
sed -i -E '/ DPBDSS\(/,/^}/ s/Bit8u/Bit8s/g' cpu/avx/amx.cc

# It knows no extended feature disable, without which Linux hands out no tiles: two model
# specific registers, their two CPUID bits, and the fault that a disabled tile raises.
sed -i '/^  Bit64u ia32_xss;/a Bit64u ia32_xfd, ia32_xfd_err;' cpu/cpu.h
sed -i '/msr.ia32_xss = 0;/a BX_CPU_THIS_PTR msr.ia32_xfd = BX_CPU_THIS_PTR msr.ia32_xfd_err = 0;' cpu/init.cc
sed -i '/is_cpu_extension_supported(BX_ISA_XSAVES))$/{
  N
  /eax |=/a if (is_cpu_extension_supported(BX_ISA_AMX)) leaf->eax |= 1 << 4;
}
/leaf->ecx = (cpu->ia32_xss_suppmask/a \
  if (subfunction == xcr0_t::BX_XCR0_XTILEDATA_BIT) leaf->ecx |= 1 << 2;' cpu/cpuid.cc
sed -i '/msr_desc\[BX_MSR_XSS\]/i \
  msr_desc[BX_MSR_IA32_XFD] = new MSR_Descriptor("XFD", BX_ISA_AMX); \
  msr_desc[BX_MSR_IA32_XFD_ERROR] = new MSR_Descriptor("XFD_ERR", BX_ISA_AMX);
/val64 = BX_CPU_THIS_PTR msr.ia32_xss;/{
  n
  a case BX_MSR_IA32_XFD: val64 = BX_CPU_THIS_PTR msr.ia32_xfd; break; \
    case BX_MSR_IA32_XFD_ERROR: val64 = BX_CPU_THIS_PTR msr.ia32_xfd_err; break;
}
/msr.ia32_xss = val_64;/{
  n
  n
  a case BX_MSR_IA32_XFD: BX_CPU_THIS_PTR msr.ia32_xfd = val_64; handleAvxModeChange(); break; \
    case BX_MSR_IA32_XFD_ERROR: BX_CPU_THIS_PTR msr.ia32_xfd_err = val_64; break;
}' cpu/msr.cc
sed -i '/^    clear_amx_ok();/i clear_amx_ok(); else if (BX_CPU_THIS_PTR msr.ia32_xfd & BX_XCR0_XTILEDATA_MASK)
/::BxNoAMX(/,/^}/ {
  /BX_ASSERT(0)/i \
  if (BX_CPU_THIS_PTR msr.ia32_xfd & BX_XCR0_XTILEDATA_MASK) { \
    BX_CPU_THIS_PTR msr.ia32_xfd_err = BX_XCR0_XTILEDATA_MASK; \
    exception(BX_NM_EXCEPTION, 0); \
  }
}' cpu/proc_ctrl.cc
for edit in 'Bit8s xbyte:cpu/avx/amx.cc:1' 'ia32_xfd:cpu/cpu.h:1' 'ia32_xfd:cpu/init.cc:1' \
  'BX_ISA_AMX)) leaf:cpu/cpuid.cc:1' 'XTILEDATA_BIT) leaf:cpu/cpuid.cc:1' \
  'BX_MSR_IA32_XFD:cpu/msr.cc:6' 'ia32_xfd:cpu/proc_ctrl.cc:3'; do
  IFS=: read -r text file count <<< "$edit"
  [ "$(grep -cF "$text" "$file")" = "$count" ] || {
    echo "build.sh: $file is not the one that this script edits ($text)" >&2
    exit 1
  }
done

./configure --with-nogui --enable-x86-64 --enable-cpu-level=6 --enable-fpu --enable-avx \
  --enable-evex --enable-amx --enable-protection-keys --enable-cet --enable-vmx=2 --enable-svm \
  --enable-all-optimizations --enable-pci --disable-docbook --disable-xpm \
  CFLAGS=-O2 CXXFLAGS="-O2 -march=native" > configure.log
make -j"$(nproc)" > make.log 2>&1 || {
  tail -n 20 make.log >&2
  exit 1
}
mv bochs ..
cd ..
rm -rf source bochs_*.orig.tar.xz
