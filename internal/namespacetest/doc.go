// Package namespacetest asks the kernel whether namespaces are still there, for tests
// that nothing is left behind.
package namespacetest
