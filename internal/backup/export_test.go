package backup

// Choose is what Prune keeps by age.
var Choose = choose
