// Package application proves that the sweep of package check is any good. It holds
// pairs of small programs, twins: one with a known mistake and one mended, whose
// difference is only that mistake, each in the idiom of its language. The sweep must
// convict each wrong twin of that very mistake and acquit each mended one.
package application
