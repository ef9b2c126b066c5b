#!/usr/bin/env bash
# Boots Linux on an emulated Sapphire Rapids (AVX-512 with VNNI and BF16, AMX), runs one
# command there and returns its exit code.
#
# tools/bochs/run.sh FOLDER ROOT COMMAND   FOLDER: from build.sh; ROOT: the files of the
#                                          emulated machine; COMMAND: for its shell
#
# Needs: apt-get install bochsbios vgabios isolinux syslinux-common xorriso cpio busybox-static
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(cd "$1" && pwd)
root=$(cd "$2" && pwd)
command=$3
limit=${BOCHS_SECONDS:-5400}
bios=/usr/share/bochs/BIOS-bochs-latest
vga=/usr/share/vgabios/vgabios.bin
loader=/usr/lib/ISOLINUX/isolinux.bin
module=/usr/lib/syslinux/modules/bios/ldlinux.c32
for file in "$folder/bochs" "$folder/vmlinuz" $bios $vga $loader $module /bin/busybox; do
  [ -e "$file" ] || {
    echo "run.sh: $file is missing; see the first lines of build.sh and run.sh" >&2
    exit 2
  }
done

work=$(mktemp -d)
emulator=
trap '[ -z "$emulator" ] || kill "$emulator" 2> /dev/null || true; rm -rf "$work"' EXIT
mkdir -p "$work/root/bin" "$work/root/proc" "$work/iso/isolinux"
cp -a "$root/." "$work/root"
cp /bin/busybox "$work/root/bin/"
install -m 755 "$here/init" "$work/root/init"
printf '%s\n' "$command" > "$work/root/command"
(cd "$work/root" && find . | cpio -o -H newc --quiet | gzip -1) > "$work/iso/initrd.gz"
cp "$folder/vmlinuz" "$work/iso/vmlinuz"
cp $loader $module "$work/iso/isolinux/"
cat > "$work/iso/isolinux/isolinux.cfg" << 'END'
default linux
label linux
  kernel /vmlinuz
  append initrd=/initrd.gz console=ttyS0 quiet loglevel=1 nokaslr mitigations=off panic=-1 acpi=off clearcpuid=580
END
xorriso -as mkisofs -quiet -o "$work/boot.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat \
  -no-emul-boot -boot-load-size 4 -boot-info-table "$work/iso" 2> /dev/null
cat > "$work/bochsrc" << END
config_interface: textconfig
display_library: nogui
romimage: file=$bios, options=fastboot
vgaromimage: file=$vga
cpu: model=sapphire_rapids, count=1, ips=200000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest=512, host=512
ata0-master: type=cdrom, path=$work/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/serial
clock: sync=none, time0=utc
speaker: enabled=0
log: $work/log
panic: action=fatal
error: action=ignore
info: action=ignore
END

touch "$work/serial"
timeout "$limit" "$folder/bochs" -q -f "$work/bochsrc" > /dev/null 2>&1 < /dev/null &
emulator=$!
code=
while IFS= read -r line; do
  case $line in
    "emulated command: exit code "*)
      code=${line##* }
      break
      ;;
  esac
  printf '%s\n' "$line"
done < <(tail --pid="$emulator" -n +1 -f "$work/serial" | stdbuf -o0 tr -d '\r')
[ -n "$code" ] || {
  echo "run.sh: the emulator stopped before the command did; its last words:" >&2
  tail -n 20 "$work/log" >&2
  exit 3
}
exit "$code"
