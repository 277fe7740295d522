#!/bin/busybox sh
# The guest's first and only program. It says one fact a line through /dev/kmsg: the kernel writes whole lines of its own and
# of ours to the console, one after the other, each with its time before it. GuestConsole reads them.
# Words of the kernel command line, all optional:
#   vr.ip=ADDRESS/LENGTH   of the first NIC, the next ones count up; or vr.ip=dhcp
#   vr.ip6=PREFIX          a /64; the last number of the IPv4 address is put behind it
#   vr.gw=ADDRESS          what is pinged; with dhcp it is what the lease names as router
#   vr.interval=SECONDS    between two pings
export PATH=/bin

# One fact, at a level that is always shown.
say() { echo "<1>@vr $*"; }
put() { [ ! -e "$2" ] || echo "$1" >"$2"; }

# udhcpc's script is this file too.
case $1 in
  deconfig) ip addr flush dev "$interface" scope global && exit ;;
  bound | renew)
    ip addr replace "$ip/$mask" dev "$interface"
    say address "$interface" "$ip/$mask"
    echo "${router:-$siaddr}" >"/run/gateway.$interface"
    exit
    ;;
  leasefail | nak) exit ;;
esac

/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
exec </dev/null >/dev/kmsg 2>&1
say boot "$(uname -r)"

ip=10.73.0.10/24 ip6=fd73:: gw=10.73.0.1 interval=0.1
for word in $(cat /proc/cmdline); do
  case $word in
    vr.ip=*) ip=${word#*=} ;;
    vr.ip6=*) ip6=${word#*=} ;;
    vr.gw=*) gw=${word#*=} ;;
    vr.interval=*) interval=${word#*=} ;;
  esac
done
# A trouble is told, and the guest goes on as far as it can.
put 0 /proc/sys/kernel/panic_on_oops
put 20 /proc/sys/kernel/hung_task_timeout_secs
put -1 /proc/sys/kernel/hung_task_warnings
# Several NICs in one network: each answers for itself.
put 1 /proc/sys/net/ipv4/conf/all/arp_ignore
put 2 /proc/sys/net/ipv4/conf/all/arp_announce
put 0 /proc/sys/net/ipv4/conf/all/rp_filter
while read -r module; do
  insmod "/modules/$module" || say error - "insmod $module failed"
done </modules/order
ip link set lo up
mkfifo /run/never
exec 3<>/run/never
# Waits so many seconds, without a process.
pause() { read -r -t "$1" _ <&3; }

# Pings for ever what the NIC's gateway is. Each start of ping counts from 0, in an epoch of its own: it ends on an error of
# sendto, and before its 16 bits overflow.
ping_from() {
  epoch=0
  while :; do
    if read -r gateway <"/run/gateway.$1"; then
      epoch=$((epoch + 1))
      echo "epoch $epoch"
      ping -I "$1" -i "$interval" -c 60000 -W 1 "$gateway" 2>&1
    fi
    pause 0.1
  done 2>/dev/null | {
    error=
    while read -r first rest; do
      case $first in
        epoch) epoch=$rest next=0 ;;
        64)
          # 64 bytes from 10.73.0.1: seq=0 ttl=64 time=0.412 ms
          seq=${rest#*seq=} ms=${rest#*time=} error=
          seq=${seq%% *} ms=${ms%% *}
          [ "$seq" -le "$next" ] || say lost "$1" "epoch=$epoch first=$next last=$((seq - 1))"
          [ "$seq" -lt "$next" ] || next=$((seq + 1))
          say ping "$1" "epoch=$epoch seq=$seq ms=$ms"
          ;;
        ping:)
          # Once for the same one over and over.
          [ "$error" = "$rest" ] || say error "$1" "epoch=$epoch $rest"
          error=$rest
          ;;
      esac
    done
  }
}

# Gives a NIC its address: nic, its number.
configure() {
  put 0 "/proc/sys/net/ipv6/conf/$1/accept_dad"
  # Who asks for its gateway in vain, after an outage, asks again soon: pings flow when the NIC works, not a second later.
  put 100 "/proc/sys/net/ipv4/neigh/$1/retrans_time_ms"
  ip link set "$1" up
  if [ "$ip" = dhcp ]; then
    udhcpc -f -i "$1" -s /init -t 3 -T 1 -A 1 &
    return
  fi
  host=${ip%/*}
  host=$((${host##*.} + $2))
  ip addr add "${ip%.*}.$host/${ip#*/}" dev "$1"
  ip -6 addr add "$ip6$host/64" dev "$1"
  echo "$gw" >"/run/gateway.$1"
  say address "$1" "${ip%.*}.$host/${ip#*/}"
}

# Watches the NICs: those that come, and their carriers. The kernel counts the changes: none goes unnoticed between two looks.
nics=0 ready=
while :; do
  for path in /sys/class/net/*; do
    [ -e "$path/device" ] || continue
    nic=${path##*/} carrier=
    read -r index <"$path/ifindex"
    eval "number=\${number_$nic-} known=\${index_$nic-} was=\${carrier_$nic-}"
    if [ -z "$number" ]; then
      number=$nics nics=$((nics + 1))
      ping_from "$nic" &
    fi
    # One that was removed and added anew has another index.
    if [ "$index" != "$known" ]; then
      configure "$nic" "$number"
      was=
    fi
    { read -r carrier <"$path/carrier" && read -r ups <"$path/carrier_up_count" && read -r downs <"$path/carrier_down_count"; } 2>/dev/null
    now="${carrier:-0} ups=$ups downs=$downs"
    [ "$was" = "$now" ] || say carrier "$nic" "$now"
    eval "number_$nic=\$number index_$nic=\$index carrier_$nic=\$now"
  done
  [ -n "$ready" ] || say ready "nics=$nics"
  ready=yes
  pause 0.02
done
