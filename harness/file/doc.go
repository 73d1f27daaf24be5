// Package file reads scenario files and plays them: a bug report that runs. One
// file holds one or more YAML documents, each of which is a scenario: the
// programs of its hosts, the rules of the wire, what is done to hosts, and what
// must be true in the end. docs/scenario-files.md says what can be written.
//
// A file is read strictly: what is not known, of another type, or names what is
// not there is an *Error that says where it stands and what to write instead.
// Reading starts nothing and needs no privileges.
package file
