package main

import (
	"fmt"
	"os"

	"lockstep/internal/config"
)

type confCommand struct {
	Print confPrint `cmd:"" help:"Print what is in force, as a file that can be used."`
	Check confCheck `cmd:"" help:"Say whether the configuration can be used."`
}

type confPrint struct {
	Defaults bool `help:"Print what is in force where nothing is configured."`
}

func (c *confPrint) Run(g *globals) error {
	if c.Defaults {
		return config.Default().Print(os.Stdout)
	}
	cfg, err := g.load()
	if err != nil {
		return err
	}
	return cfg.Print(os.Stdout)
}

type confCheck struct{}

func (confCheck) Run(g *globals) error {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	if _, err := readCertificate(cfg.TLS); err != nil {
		return err
	}
	if _, err := relayPassword(cfg.Outgoing); err != nil {
		return err
	}
	where := config.Find(g.Config)
	if where == "" {
		where = "built-in defaults (no configuration file)"
	}
	fmt.Printf("%s: good. Data lies in %s.\n", where, cfg.Data)
	return nil
}
