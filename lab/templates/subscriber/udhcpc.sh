#!/bin/sh
# What udhcpc calls at each event: keeps the address, the default route and the resolver of one subscriber.
set -u
case "$1" in
  deconfig)
    ip address flush dev "$interface"
    ip link set dev "$interface" up
    ;;
  bound|renew)
    # the lifetime removes an address that nobody renews; "replace" keeps open connections on renewal
    ip address replace "$ip/$mask" dev "$interface" valid_lft "$lease" preferred_lft "$lease"
    for other in $(ip -4 -o address show dev "$interface" | awk '{print $4}'); do
      [ "$other" = "$ip/$mask" ] || ip address del "$other" dev "$interface"
    done
    ip route replace default via "${router%% *}" dev "$interface"
    for server in ${dns:-}; do echo "nameserver $server"; done > /etc/resolv.conf
    echo "{\"event\": \"dhcp.$1\", \"ip\": \"$ip\", \"router\": \"$router\", \"server\": \"$serverid\", \"lease\": $lease}"
    ;;
  nak|leasefail)
    echo "{\"event\": \"dhcp.$1\", \"message\": \"${message:-}\"}"
    ;;
esac
