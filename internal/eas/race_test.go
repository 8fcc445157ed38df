//go:build race

package eas

const racing = true
