package auth

// grant is what a program was granted by OAuth.
type grant struct{}
