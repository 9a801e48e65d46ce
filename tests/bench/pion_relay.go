// A relay of pion for bench/relay.py: one publisher, many subscribers, driven by lines of JSON.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"sync"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc"
)

type request struct {
	Do  string
	Sdp string
}

var (
	lock      sync.Mutex
	publisher *webrtc.PeerConnection
	local     *webrtc.TrackLocalStaticRTP
	source    webrtc.SSRC
)

func askForKeyFrame() {
	lock.Lock()
	defer lock.Unlock()
	if publisher != nil && source != 0 {
		_ = publisher.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(source)}})
	}
}

func forward(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
	lock.Lock()
	source = remote.SSRC()
	lock.Unlock()
	buffer := make([]byte, 1500)
	for {
		n, _, err := remote.Read(buffer)
		if err != nil {
			return
		}
		_, _ = local.Write(buffer[:n])
	}
}

func answer(pc *webrtc.PeerConnection, sdp string) (string, error) {
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdp}); err != nil {
		return "", err
	}
	description, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err = pc.SetLocalDescription(description); err != nil {
		return "", err
	}
	<-gathered
	return pc.LocalDescription().SDP, nil
}

func carryOut(r request) (string, error) {
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	switch r.Do {
	case "publish":
		publisher = pc
		pc.OnTrack(forward)
	case "subscribe":
		sender, err := pc.AddTrack(local)
		if err != nil {
			return "", err
		}
		go func() {
			for {
				packets, _, err := sender.ReadRTCP()
				if err != nil {
					return
				}
				for _, packet := range packets {
					if _, ok := packet.(*rtcp.PictureLossIndication); ok {
						askForKeyFrame()
					}
				}
			}
		}()
		defer askForKeyFrame()
	default:
		return "", errors.New("what is " + r.Do + "?")
	}
	return answer(pc, r.Sdp)
}

func main() {
	kind, codec := "video", webrtc.MimeTypeVP8
	if len(os.Args) > 1 && os.Args[1] == "audio" {
		kind, codec = "audio", webrtc.MimeTypeOpus
	}
	local, _ = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: codec}, kind, "pion")
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(make([]byte, 1<<20), 1<<24)
	output := json.NewEncoder(os.Stdout)
	for input.Scan() {
		var r request
		if err := json.Unmarshal(input.Bytes(), &r); err != nil {
			os.Exit(1)
		}
		sdp, err := carryOut(r)
		if err != nil {
			_ = output.Encode(map[string]string{"error": err.Error()})
			continue
		}
		_ = output.Encode(map[string]string{"sdp": sdp})
	}
}
