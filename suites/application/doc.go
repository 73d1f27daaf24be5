// Package application proves that the sweep of package check is any good. It holds
// pairs of small programs, twins: one with a known mistake and one mended, whose
// difference is only that mistake, each in the idiom of its language. The sweep must
// convict each wrong twin of that very mistake and acquit each mended one.
//
// An acquittal is a full sweep, and all of them take three minutes of two quiet cores.
// With LASTACK_SHALLOW=1 only the wrong twins are played, at the cells that convict
// them: for a pass beside a full one, as that of an unprivileged user. With LASTACK_SOAK=1
// each pair is played 20 times.
package application
