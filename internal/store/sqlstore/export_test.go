package sqlstore

import "io/fs"

// WithSteps makes a program of these options that knows other migrations.
func WithSteps(o Options, steps fs.FS) Options {
	o.steps = steps
	return o
}

// Future are the migrations of a release to come.
var Future = future

// PathOf is where a database lies.
func PathOf(db *DB) string { return db.path }
