# The first process of a test bed: it holds the bed's namespaces, and everything in the bed ends with it.
#
#   $1  `held`: lives for as long as its stdin is open; `lasting`: until it is killed
#   $2  the bed's directory, which the hosts find in /run/files when they boot
#
# It runs in mount, network and process namespaces of its own, prints its process id as the world outside counts, and
# waits. Nothing that it mounts or names (`ip netns`) can be seen outside, or stays when it is gone.
set -eu
read -r pid _ < /proc/self/stat
cd "$2"
mount -t tmpfs -o mode=755 bed /run
mkdir /run/netns /run/bed /run/files
mount -c --bind . /run/files
cd /
ip link set lo up
echo "$pid"
exec > /dev/null
case $1 in
  held) exec cat ;;
  *) exec sleep infinity ;;
esac
