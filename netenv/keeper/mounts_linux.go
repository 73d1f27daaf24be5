package keeper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// privateMounts keeps every mount of this process's new namespace to itself.
func privateMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return at(StepMount, fmt.Errorf("make mounts private: %w", err))
	}
	return nil
}

// enterNewMounts gives the calling thread a mount namespace in which /etc/hosts
// names the hosts of the lab. The file lies on a tmpfs of its own; /proc lends its
// place for a moment, as it is the one directory that is surely there, and the
// thread sees the real one again when this returns.
func enterNewMounts(hosts string) error {
	// A thread shares its root and directory with the others, and only one that
	// does not may have mounts of its own.
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return at(StepMount, fmt.Errorf("make mount namespace: %w", err))
	}
	if err := privateMounts(); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/proc", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=64k,mode=755"); err != nil {
		return at(StepMount, fmt.Errorf("mount tmpfs: %w", err))
	}
	err := os.WriteFile("/proc/hosts", []byte(hosts), 0o644)
	if err == nil {
		err = os.Chmod("/proc/hosts", 0o644) // whatever the umask is
	}
	if err == nil {
		err = unix.Mount("/proc/hosts", "/etc/hosts", "", unix.MS_BIND, "")
		if errors.Is(err, fs.ErrNotExist) {
			// A system without the file resolves no names by it, and there is nothing to
			// cover.
			err = nil
		}
	}
	err = errors.Join(err, unix.Unmount("/proc", unix.MNT_DETACH))
	if err != nil {
		return at(StepMount, fmt.Errorf("mount /etc/hosts: %w", err))
	}
	return nil
}

// hostsFile is what /etc/hosts says on every host of a lab.
func hostsFile(plan LabPlan) string {
	var b strings.Builder
	b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	for i := range plan.Hosts {
		if plan.IP != 6 {
			fmt.Fprintf(&b, "%s\t%s\n", plan.Hosts[i].IPv4.Addr(), plan.Hosts[i].Name)
		}
	}
	for i := range plan.Hosts {
		if plan.IP != 4 {
			fmt.Fprintf(&b, "%s\t%s\n", plan.Hosts[i].IPv6.Addr(), plan.Hosts[i].Name)
		}
	}
	return b.String()
}
