package deadline

// Tokens is what is in b, in millionths of a token.
func (b *Budget) Tokens() int64 { return b.tokens.Load() }
