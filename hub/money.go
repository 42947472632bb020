package hub

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Money is an amount in billionths of a US dollar. In JSON it is a number of
// dollars.
type Money int64

// moneyMax bounds an amount, so that sums of many fit, too.
const moneyMax = 1e15

// Dollars is an amount of US dollars, a million at most.
func Dollars(d float64) Money { return Money(math.Round(min(max(d*1e9, -moneyMax), moneyMax))) }

// MarshalJSON writes dollars, exactly.
func (m Money) MarshalJSON() ([]byte, error) {
	sign := ""
	n := uint64(m)
	if m < 0 {
		sign, n = "-", -n
	}
	return fmt.Appendf(nil, "%s%d.%09d", sign, n/1e9, n%1e9), nil
}

// UnmarshalJSON reads dollars.
func (m *Money) UnmarshalJSON(b []byte) error {
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	dollars, err := strconv.ParseFloat(n.String(), 64)
	if err != nil {
		return fmt.Errorf("amount of money: %w", err)
	}
	*m = Dollars(dollars)
	return nil
}
