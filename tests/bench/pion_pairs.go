// Pairs of pion for bench/run.py: the measurement that is named is made, and its result printed as JSON.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pion/webrtc"
)

type pair struct {
	a, b   *webrtc.PeerConnection
	here   *webrtc.DataChannel
	there  *webrtc.DataChannel
	opened chan struct{}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// trickle hands on candidates; those that come before the description are kept until it is there.
func trickle(from, to *webrtc.PeerConnection) func() {
	var lock sync.Mutex
	var held []webrtc.ICECandidateInit
	ready := false
	from.OnICECandidate(func(candidate *webrtc.ICECandidate) {
		if candidate == nil {
			return
		}
		lock.Lock()
		defer lock.Unlock()
		if ready {
			_ = to.AddICECandidate(candidate.ToJSON())
		} else {
			held = append(held, candidate.ToJSON())
		}
	})
	return func() {
		lock.Lock()
		defer lock.Unlock()
		ready = true
		for _, candidate := range held {
			_ = to.AddICECandidate(candidate)
		}
	}
}

func connect() *pair {
	p := &pair{opened: make(chan struct{}, 2)}
	var err error
	p.a, err = webrtc.NewPeerConnection(webrtc.Configuration{})
	must(err)
	p.b, err = webrtc.NewPeerConnection(webrtc.Configuration{})
	must(err)
	p.here, err = p.a.CreateDataChannel("bench", nil)
	must(err)
	p.here.OnOpen(func() { p.opened <- struct{}{} })
	p.b.OnDataChannel(func(channel *webrtc.DataChannel) {
		p.there = channel
		channel.OnOpen(func() { p.opened <- struct{}{} })
	})
	toB, toA := trickle(p.a, p.b), trickle(p.b, p.a)
	offer, err := p.a.CreateOffer(nil)
	must(err)
	must(p.a.SetLocalDescription(offer))
	must(p.b.SetRemoteDescription(offer))
	answer, err := p.b.CreateAnswer(nil)
	must(err)
	must(p.b.SetLocalDescription(answer))
	must(p.a.SetRemoteDescription(answer))
	toB()
	toA()
	<-p.opened
	<-p.opened
	return p
}

func (p *pair) close() {
	_ = p.a.Close()
	_ = p.b.Close()
}

func cpu() time.Duration {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func milliseconds(d time.Duration) float64 { return float64(d) / 1e6 }

func round(value float64, digits int) float64 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(value, 'f', digits, 64), 64)
	return rounded
}

func setup() map[string]interface{} {
	var walls []float64
	var used time.Duration
	for i := 0; i < 60; i++ {
		start, startCPU := time.Now(), cpu()
		p := connect()
		if i >= 5 {
			walls = append(walls, milliseconds(time.Since(start)))
			used += cpu() - startCPU
		}
		p.close()
	}
	sort.Float64s(walls)
	return map[string]interface{}{
		"median_ms":       round(walls[len(walls)/2], 2),
		"p90_ms":          round(walls[len(walls)*9/10], 2),
		"cpu_ms_per_pair": round(milliseconds(used)/float64(len(walls)), 2),
	}
}

func throughput(size, total int) map[string]interface{} {
	p := connect()
	done := make(chan struct{})
	received := 0
	p.there.OnMessage(func(message webrtc.DataChannelMessage) {
		received += len(message.Data)
		if received >= total {
			close(done)
		}
	})
	chunk := make([]byte, size)
	start, startCPU := time.Now(), cpu()
	for sent := 0; sent < total; {
		if p.here.BufferedAmount() < 1000000 {
			must(p.here.Send(chunk))
			sent += size
		} else {
			time.Sleep(500 * time.Microsecond)
		}
	}
	<-done
	wall, used := time.Since(start), cpu()-startCPU
	p.close()
	return map[string]interface{}{
		"MB_per_s":        round(float64(total)/wall.Seconds()/1e6, 1),
		"cpu_s_per_100MB": round(used.Seconds()*1e8/float64(total), 2),
	}
}

func pingPong(rounds int) map[string]interface{} {
	p := connect()
	times := make([]float64, 0, rounds)
	done := make(chan struct{})
	var sentAt time.Time
	p.there.OnMessage(func(message webrtc.DataChannelMessage) { must(p.there.Send(message.Data)) })
	p.here.OnMessage(func(message webrtc.DataChannelMessage) {
		times = append(times, float64(time.Since(sentAt))/1e3)
		if len(times) == rounds {
			close(done)
			return
		}
		sentAt = time.Now()
		must(p.here.Send(message.Data))
	})
	startCPU := cpu()
	sentAt = time.Now()
	must(p.here.Send([]byte("0123456789abcdef")))
	<-done
	used := cpu() - startCPU
	p.close()
	sort.Float64s(times)
	return map[string]interface{}{
		"median_us":        round(times[rounds/2], 1),
		"p99_us":           round(times[rounds*99/100], 1),
		"cpu_us_per_round": round(float64(used)/1e3/float64(rounds), 1),
	}
}

func memory() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	must(err)
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	must(err)
	return float64(pages*os.Getpagesize()) / 1024
}

func idle(count int) map[string]interface{} {
	warm := connect()
	runtime.GC()
	before := memory()
	pairs := make([]*pair, count)
	for i := range pairs {
		pairs[i] = connect()
	}
	runtime.GC()
	perPair := (memory() - before) / float64(count)
	time.Sleep(time.Second)
	start, startCPU := time.Now(), cpu()
	time.Sleep(10 * time.Second)
	used := milliseconds(cpu()-startCPU) / time.Since(start).Seconds() / float64(count)
	for _, p := range append(pairs, warm) {
		p.close()
	}
	return map[string]interface{}{"kb_per_pair": round(perPair, 0), "idle_cpu_ms_per_pair_per_s": round(used, 3)}
}

func main() {
	var result map[string]interface{}
	switch os.Args[1] {
	case "setup":
		result = setup()
	case "idle":
		result = idle(200)
	case "throughput":
		result = throughput(65535, 40000000) // the largest message that pion reads
	case "throughput-1k":
		result = throughput(1024, 10000000)
	case "ping-pong":
		result = pingPong(2000)
	}
	must(json.NewEncoder(os.Stdout).Encode(result))
}
