package harness_test

import (
	"context"
	"fmt"

	"github.com/lastack/lastack/harness"
)

// The lines of the README. They are compiled here, and not run: not every
// machine that tests documentation can make namespaces.
func ExamplePlay() {
	run, err := harness.Play(context.Background(), harness.Scenario{
		Name: "my/fin-lost",
		Play: func(s *harness.Stage) {
			client, server := s.Established()
			lost := s.Wire.On("client.FIN").Drop()
			client.Close()
			s.Await(lost.Fired())
			server.Read(1) // returns at the end of file: the kernel repeats the FIN
		},
	}, harness.Options{})
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Verdict, run.Ladder())
}
