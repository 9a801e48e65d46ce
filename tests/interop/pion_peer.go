// A pion peer that is driven by JSON lines: the other end of test_pion.py. What the lines mean stands in remote.py.
package main

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc"
)

type line map[string]interface{}

var (
	output  = json.NewEncoder(os.Stdout)
	writing sync.Mutex
)

func tell(message line) {
	writing.Lock()
	defer writing.Unlock()
	if err := output.Encode(message); err != nil {
		os.Exit(1) // nobody listens any more
	}
}

type peer struct {
	pc       *webrtc.PeerConnection
	lock     sync.Mutex
	channels map[string]*webrtc.DataChannel
	local    map[string]*webrtc.TrackLocalStaticRTP
	senders  map[string]*webrtc.RTPSender
	remote   map[string]*webrtc.TrackRemote
	packets  map[string]int
}

type request struct {
	ID            int
	Do            string
	Configuration webrtc.Configuration
	RSA           bool
	Lite          bool
	Label         string
	Options       webrtc.DataChannelInit
	Kind          string
	Codec         string
	Restart       bool
	Description   webrtc.SessionDescription
	Candidate     *webrtc.ICECandidateInit
	Text          *string
	Size          int
	Binary        bool
}

func (p *peer) begin(r request) error {
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		return err
	}
	registry := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(media, registry); err != nil {
		return err
	}
	logs := logging.NewDefaultLoggerFactory()
	logs.Writer = os.Stderr // its own choice is the output, which is ours
	settings := webrtc.SettingEngine{LoggerFactory: logs}
	settings.SetLite(r.Lite)
	settings.SetRelayAcceptanceMinWait(0) // 2 s are its own choice, wherever nothing but relays is allowed
	settings.SetICETimeouts(4*time.Second, 25*time.Second, time.Second)
	if r.RSA {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return err
		}
		certificate, err := webrtc.GenerateCertificate(key)
		if err != nil {
			return err
		}
		r.Configuration.Certificates = []webrtc.Certificate{*certificate}
	}
	api := webrtc.NewAPI(
		webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings))
	pc, err := api.NewPeerConnection(r.Configuration)
	if err != nil {
		return err
	}
	p.pc = pc
	pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		if c == nil {
			tell(line{"event": "candidate", "candidate": nil})
			return
		}
		tell(line{"event": "candidate", "candidate": c.ToJSON()})
	})
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		tell(line{"event": "state", "state": s.String()})
	})
	pc.OnDataChannel(func(c *webrtc.DataChannel) { p.keep(c, true) })
	pc.OnTrack(p.reflect)
	return nil
}

func (p *peer) keep(c *webrtc.DataChannel, theirs bool) {
	p.lock.Lock()
	p.channels[c.Label()] = c
	p.lock.Unlock()
	c.OnMessage(func(m webrtc.DataChannelMessage) {
		digest := sha256.Sum256(m.Data)
		told := line{"event": "message", "label": c.Label(), "binary": !m.IsString, "size": len(m.Data),
			"digest": hex.EncodeToString(digest[:8])}
		if m.IsString && len(m.Data) <= 64 {
			told["text"] = string(m.Data)
		}
		tell(told)
		if strings.HasPrefix(c.Label(), "echo") {
			if m.IsString {
				_ = c.SendText(string(m.Data))
			} else {
				_ = c.Send(m.Data)
			}
		}
	})
	c.OnOpen(func() {
		tell(line{"event": "open", "label": c.Label(), "theirs": theirs, "protocol": c.Protocol(),
			"ordered": c.Ordered(), "maxRetransmits": c.MaxRetransmits(),
			"maxPacketLifeTime": c.MaxPacketLifeTime(), "id": c.ID()})
	})
	c.OnClose(func() { tell(line{"event": "closed", "label": c.Label()}) })
}

// media adds a track that gives back what comes in.
func (p *peer) media(r request) error {
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: r.Codec}, r.Kind, "pion")
	if err != nil {
		return err
	}
	sender, err := p.pc.AddTrack(track)
	if err != nil {
		return err
	}
	p.lock.Lock()
	p.local[r.Kind], p.senders[r.Kind] = track, sender
	p.lock.Unlock()
	go func() { // a request for a key frame is passed on to who can make one
		for {
			packets, _, err := sender.ReadRTCP()
			if err != nil {
				return
			}
			for _, packet := range packets {
				if _, ok := packet.(*rtcp.PictureLossIndication); ok {
					p.askForKeyFrame(r.Kind)
				}
			}
		}
	}()
	return nil
}

func (p *peer) askForKeyFrame(kind string) {
	p.lock.Lock()
	remote := p.remote[kind]
	p.lock.Unlock()
	if remote != nil {
		_ = p.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(remote.SSRC())}})
	}
}

func (p *peer) reflect(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
	kind := remote.Kind().String()
	tell(line{"event": "track", "kind": kind, "codec": remote.Codec().MimeType, "rid": remote.RID()})
	p.lock.Lock()
	p.remote[kind] = remote
	p.lock.Unlock()
	for {
		packet, _, err := remote.ReadRTP()
		if err != nil {
			return
		}
		p.lock.Lock()
		p.packets[kind]++
		local := p.local[kind]
		p.lock.Unlock()
		if local != nil {
			packet.Extension, packet.Extensions = false, nil
			_ = local.WriteRTP(packet)
		}
	}
}

func (p *peer) carryOut(r request) (interface{}, error) {
	switch r.Do {
	case "begin":
		return nil, p.begin(r)
	case "channel":
		c, err := p.pc.CreateDataChannel(r.Label, &r.Options)
		if err == nil {
			p.keep(c, false)
		}
		return nil, err
	case "media":
		return nil, p.media(r)
	case "remove":
		return nil, p.pc.RemoveTrack(p.senders[r.Kind])
	case "offer":
		description, err := p.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: r.Restart})
		if err != nil {
			return nil, err
		}
		return description, p.pc.SetLocalDescription(description)
	case "answer":
		description, err := p.pc.CreateAnswer(nil)
		if err != nil {
			return nil, err
		}
		return description, p.pc.SetLocalDescription(description)
	case "gathered":
		<-webrtc.GatheringCompletePromise(p.pc)
		return p.pc.LocalDescription(), nil
	case "remote":
		return nil, p.pc.SetRemoteDescription(r.Description)
	case "candidate":
		if r.Candidate == nil {
			return nil, nil
		}
		return nil, p.pc.AddICECandidate(*r.Candidate)
	case "send":
		p.lock.Lock()
		c := p.channels[r.Label]
		p.lock.Unlock()
		if r.Text != nil {
			return nil, c.SendText(*r.Text)
		}
		if !r.Binary {
			return nil, c.SendText(strings.Repeat("x", r.Size))
		}
		return nil, c.Send([]byte(strings.Repeat("x", r.Size)))
	case "close-channel":
		return nil, p.channels[r.Label].Close()
	case "seen":
		p.lock.Lock()
		defer p.lock.Unlock()
		return line{"audio": p.packets["audio"], "video": p.packets["video"]}, nil
	case "close":
		return nil, p.pc.Close()
	}
	return nil, errors.New("what is " + r.Do + "?")
}

func main() {
	p := &peer{channels: map[string]*webrtc.DataChannel{}, local: map[string]*webrtc.TrackLocalStaticRTP{},
		senders: map[string]*webrtc.RTPSender{}, remote: map[string]*webrtc.TrackRemote{}, packets: map[string]int{}}
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(make([]byte, 1<<20), 1<<24)
	for input.Scan() {
		var r request
		if err := json.Unmarshal(input.Bytes(), &r); err != nil {
			tell(line{"id": r.ID, "error": err.Error()})
			continue
		}
		result, err := p.carryOut(r)
		if err != nil {
			tell(line{"id": r.ID, "error": err.Error()})
		} else {
			tell(line{"id": r.ID, "result": result})
		}
	}
}
