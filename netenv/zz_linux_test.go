package netenv

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

func TestZZ(t *testing.T) {
	k := startKeeper(t)
	var wait sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i := range 400 {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			l, err := k.NewLab(testContext(t), LabSpec{})
			if err != nil {
				t.Error(err)
				return
			}
			ready := time.Now()
			defer l.Close()
			var mu sync.Mutex
			log := ""
			br := func(n string, a, b *os.File) {
				buf := make([]byte, 70000)
				for {
					n2, err := a.Read(buf)
					if err != nil {
						return
					}
					m, e := b.Write(buf[:n2])
					mu.Lock()
					log += fmt.Sprintf("%v %s %d %x wrote %d %v\n", time.Since(ready), n, n2, buf[12:min(n2,60)], m, e)
					mu.Unlock()
				}
			}
			go br("c", l.Host("client").Port, l.Host("server").Port)
			go br("s", l.Host("server").Port, l.Host("client").Port)
			to := l.Host("server").IPv6
			p, err := l.Host("client").StartProcess(testContext(t), ProcessSpec{Argv: []string{"lastack-test", "connect", addrPort(to, 7).String()}})
			if err != nil {
				t.Error(err)
				return
			}
			p.Wait(testContext(t))
			if snmp := counters(t, l.Host("client").SNMP, "Tcp"); snmp["RetransSegs"] != "0" {
				mu.Lock()
				t.Errorf("lab %d client %v server %v\n%s", i, snmp, counters(t, l.Host("server").SNMP, "Tcp"), log)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
}
