package netenv

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test binary a set of small programs for the hosts.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[0] != "lastack-test" {
		os.Exit(m.Run())
	}
	if err := runHelper(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runHelper(name string, args []string) error {
	switch name {
	case "exit":
		code, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		os.Exit(code)
	case "sleep":
		signal.Reset()
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "connect":
		// Connect, tell it, and keep the connection until killed.
		conn, err := dialer.Dial("tcp", args[0])
		if err != nil {
			return err
		}
		fmt.Println(conn.LocalAddr(), conn.RemoteAddr())
		_, err = conn.Read(make([]byte, 1))
		fmt.Println(err)
		return err
	case "say":
		conn, err := dialer.Dial("tcp", args[0])
		if err != nil {
			return err
		}
		size, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		_, err = conn.Write(make([]byte, size))
		fmt.Println("sent")
		time.Sleep(time.Hour)
		return err
	case "close":
		// Connect and close, so that a FIN is on its way, and stay.
		conn, err := dialer.Dial("tcp", args[0])
		if err != nil {
			return err
		}
		conn.Close()
		fmt.Println("closed")
		time.Sleep(time.Hour)
	case "listen":
		var config net.ListenConfig
		config.SetMultipathTCP(false)
		l, err := config.Listen(context.Background(), "tcp", args[0])
		if err != nil {
			return err
		}
		fmt.Println("listening")
		for {
			conn, err := l.Accept()
			if err != nil {
				return err
			}
			go io.Copy(io.Discard, conn)
			fmt.Println("accepted")
		}
	case "daemon":
		// Leave a process behind that nobody waits for, in a session of its own.
		child := exec.Command("/proc/self/exe")
		child.Args = []string{"lastack-test", "sleep"}
		child.Stdout = os.Stdout
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		return child.Start()
	case "hosts":
		file, err := os.Open("/etc/hosts")
		if err != nil {
			return err
		}
		for scanner := bufio.NewScanner(file); scanner.Scan(); {
			fmt.Println(scanner.Text())
		}
	case "doomed":
		return doomed()
	case "carrier":
		text, err := os.ReadFile("/sys/class/net/eth0/carrier")
		if err != nil {
			return err
		}
		os.Stdout.Write(text)
	case "routes":
		for _, family := range []string{"-4", "-6"} {
			// Where there is no such program nothing is printed.
			text, _ := exec.Command("ip", family, "route", "show", "dev", "eth0").Output()
			os.Stdout.Write(text)
		}
	case "status":
		text, err := os.ReadFile("/proc/self/status")
		if err != nil {
			return err
		}
		os.Stdout.Write(text)
	default:
		return fmt.Errorf("no helper %q", name)
	}
	return nil
}

var dialer = net.Dialer{Timeout: testLimit}
