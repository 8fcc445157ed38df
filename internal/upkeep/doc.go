// Package upkeep is what a server does when nobody asks: it scrubs, slowly and all
// the time, whatever is stored, and does by a timetable what has to be done again
// and again.
//
// # Scrubbing
//
// A pass of the Scrub goes through all blobs, opening every frame; through all
// accounts, counting anew what is derived; and through all tables, having the
// database check its pages and indexes. It reads at most so many bytes a second, and
// rests between pieces for longer than it worked, so that it becomes slower by itself
// where people need the disk or the processors. What it remembers over a restart is
// how far it is.
//
// What is wrong is put right where that can be: a blob from another good record in
// the packs, or from a backup; what is derived from what it is derived of. The rest
// is isolated, which means that it is never served, and shown by the doctor.
//
// # The timetable
//
// A Job is done every so often. One that was missed while the server was down is
// caught up with after the start; one that failed is tried again, with growing
// pauses. No two of the same run at once.
package upkeep
