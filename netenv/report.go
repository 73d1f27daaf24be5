package netenv

// Status says whether a check found what it looked for.
type Status string

const (
	// OK is what a lab needs, found.
	OK Status = "ok"
	// Missing is what a lab cannot do without.
	Missing Status = "missing"
	// Optional is missing too, but a lab can do without.
	Optional Status = "optional"
)

// Check is one thing that a lab needs, or is better with.
type Check struct {
	// Name is a short word for it: "namespaces", "veth", "sock_destroy".
	Name   string
	Status Status
	// What is what was found: "6.18.1", "as root".
	What string
	// Why is the reason where it is not OK, and Do what to do about it.
	Why, Do string
}

// Report is what Doctor found out, in the order in which things are needed.
type Report struct {
	Checks []Check
}

// OK reports whether nothing is missing that a lab needs.
func (r Report) OK() bool {
	for _, c := range r.Checks {
		if c.Status == Missing {
			return false
		}
	}
	return true
}

// Find gives the check with a name; its zero value where there is none.
func (r Report) Find(name string) Check {
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	return Check{}
}
