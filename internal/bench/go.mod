module github.com/grove-go/grove/internal/bench

go 1.26.0

require github.com/grove-go/grove v0.0.0

replace github.com/grove-go/grove => ../../
