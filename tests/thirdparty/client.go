// pin/tftp as a command: client get|put HOST:PORT REMOTE LOCAL BLKSIZE (0: none, and no tsize)
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/pin/tftp"
)

func run(args []string) error {
	client, err := tftp.NewClient(args[1])
	if err != nil {
		return err
	}
	if blksize, _ := strconv.Atoi(args[4]); blksize > 0 {
		client.SetBlockSize(blksize)
		client.RequestTSize(true)
	}
	if args[0] == "get" {
		file, err := os.Create(args[3])
		if err != nil {
			return err
		}
		defer file.Close()
		transfer, err := client.Receive(args[2], "octet")
		if err != nil {
			return err
		}
		_, err = transfer.WriteTo(file)
		return err
	}
	file, err := os.Open(args[3])
	if err != nil {
		return err
	}
	defer file.Close()
	transfer, err := client.Send(args[2], "octet")
	if err != nil {
		return err
	}
	_, err = transfer.ReadFrom(file)
	return err
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
