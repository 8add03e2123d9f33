package ucd_test

import (
	"fmt"

	"github.com/grove-go/grove/examples/search/internal/ucd"
)

func ExampleChar() {
	for _, c := range ucd.All() {
		if c.Name == "SNOWMAN" {
			fmt.Println(c.Code(), string(c.Rune), c.UTF8(), c.HTML(), c.Category())
		}
	}
	// Output: U+2603 ☃ E2 98 83 &#x2603; Other Symbol
}
