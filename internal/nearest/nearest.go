// Package nearest finds the word that was probably meant.
package nearest

import "strings"

// Of is the candidate with the least edit distance to a word, the first
// of several; "" only where there is no candidate. Capital letters are as good as
// small ones.
func Of(word string, candidates []string) string {
	best, least := "", -1
	word = strings.ToLower(word)
	for _, c := range candidates {
		if d := Distance(word, strings.ToLower(c)); least < 0 || d < least {
			best, least = c, d
		}
	}
	return best
}

// Distance counts the edits that make one word of another: a rune put in, left
// out, or replaced, or two neighbours swapped.
func Distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	rows := make([][]int, len(from)+1)
	for i := range rows {
		rows[i] = make([]int, len(to)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i, x := range from {
		for j, y := range to {
			replace := rows[i][j]
			if x != y {
				replace++
			}
			d := min(replace, rows[i][j+1]+1, rows[i+1][j]+1)
			if i > 0 && j > 0 && x == to[j-1] && y == from[i-1] {
				d = min(d, rows[i-1][j-1]+1)
			}
			rows[i+1][j+1] = d
		}
	}
	return rows[len(from)][len(to)]
}
