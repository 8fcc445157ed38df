//go:build race

package jmap

const racing = true
