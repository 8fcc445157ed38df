//go:build !race

package eas

const racing = false
