package file

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// operators are words that only a shell understands.
var operators = []string{"|", "||", "&", "&&", ";", ">", ">>", "<", "<<", "2>", "2>&1", "(", ")"}

// Words cuts a command into its words. No shell is there: blanks part words, what
// is in single quotes stands as it is, in double quotes \" and \\ are the one
// character and all else stands as it is, and outside of quotes a backslash takes
// the next character as it is. A word that only a shell would understand, | or >
// and the like, is refused, unless it is quoted.
func Words(command string) ([]string, error) {
	var words []string
	var word strings.Builder
	begun, quoted := false, false
	end := func() error {
		if !begun {
			return nil
		}
		w := word.String()
		if !quoted && slices.Contains(operators, w) {
			return fmt.Errorf("read command: %s is for a shell, and none is there: put it in quotes, or run sh -c '…'", w)
		}
		words = append(words, w)
		word.Reset()
		begun, quoted = false, false
		return nil
	}
	for rest := command; rest != ""; {
		c := rest[0]
		rest = rest[1:]
		switch c {
		case ' ', '\t', '\n', '\r':
			if err := end(); err != nil {
				return nil, err
			}
			continue
		case '\\':
			if rest == "" {
				return nil, errors.New("read command: nothing stands behind the \\ at its end")
			}
			word.WriteByte(rest[0])
			rest = rest[1:]
			quoted = true
		case '\'':
			inside, after, ok := strings.Cut(rest, "'")
			if !ok {
				return nil, errors.New("read command: want a closing '")
			}
			word.WriteString(inside)
			rest, quoted = after, true
		case '"':
			i := 0
			for ; i < len(rest) && rest[i] != '"'; i++ {
				if rest[i] == '\\' && i+1 < len(rest) && (rest[i+1] == '"' || rest[i+1] == '\\') {
					i++
				}
				word.WriteByte(rest[i])
			}
			if i == len(rest) {
				return nil, errors.New(`read command: want a closing "`)
			}
			rest, quoted = rest[i+1:], true
		default:
			word.WriteByte(c)
		}
		begun = true
	}
	if err := end(); err != nil {
		return nil, err
	}
	if len(words) == 0 || words[0] == "" {
		return nil, errors.New("read command: it is empty")
	}
	return words, nil
}
