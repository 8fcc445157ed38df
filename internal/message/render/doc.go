// Package render makes of a message what a program shows: its body as plain text, as
// HTML or as MIME, cut to a size, and the list of what is attached. It is for the
// protocols that do this on the server (ActiveSync; JMAP shares the choice of parts).
//
// # Cost
//
// Choose, List, Native and the like look at the parsed structure alone and read
// nothing. A body reads the text parts it is made of once from beginning to end,
// since its whole size is told even when little of it is wanted, and MIME reads the
// whole message once, its raw text parts twice. Nothing is held but MaxHeld of the
// result: a body larger than that is made again for whoever writes it out. A message
// of 50 MB takes no more memory than one of 50 KB. TNEF (winmail.dat) is the
// exception: to list it, its properties are read, at most tnef.MaxPropertyBytes;
// attachments in it stream.
//
// # What is not done here
//
// HTML is not made safe: scripts, forms and pictures from elsewhere are passed on,
// since phones have always got it so and guard themselves. A view that shows it in a
// browser puts its sanitiser between Read and the page.
package render
