package backup

// Choose is what Prune keeps by age.
var Choose = choose

// EachUpTo lists a target up to a bound.
var EachUpTo = eachUpTo

// HoldPatience is how long packs are held while nothing moves.
const HoldPatience = holdPatience
