// Package store keeps the named characters of Unicode in a database and finds them by the words of their names.
//
// Two databases answer alike: [SQLite], which lives in this process, and [Postgres].
//
// # The rule
//
// A [Query] has words. A character is found when every word occurs in its name, anywhere and in either case.
// Characters with shorter names come first, then lower code points, so an answer has exactly one order. Names are
// ASCII; a word with any other character is in none of them.
//
// # Indexes
//
// Both databases index the trigrams of names. A word of one or two characters has no trigram: it is looked for
// along an index in the order of the answer, which ends at the limit.
package store
