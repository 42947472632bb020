package hub_test

import (
	"testing"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/hub/bustest"
)

func TestLocalBus(t *testing.T) {
	bustest.Run(t, func(*testing.T) (a, b hub.Bus) {
		bus := hub.NewLocalBus()
		return bus.Client(), bus.Client()
	})
}
