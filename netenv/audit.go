package netenv

// Audit is a look at this machine for what labs could leave behind. Two of them,
// before and after, are equal where nothing was.
type Audit struct {
	// Roles are the processes, of whatever caller, that run as a keeper or as a
	// host's init, by name and number.
	Roles []string
	// Threads counts this process's threads by their network namespace.
	Threads map[string]int
	// Links and Mounts are those of this process's own namespaces.
	Links  []string
	Mounts []string
	// Files counts this process's open descriptors.
	Files int
}
