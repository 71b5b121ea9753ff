package artifactorytest_test

import (
	"fmt"
	"log"

	"github.com/google/go-containerregistry/pkg/v1/empty"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

func Example() {
	s := artifactorytest.New(artifactorytest.Options{Profile: artifactorytest.Cloud})
	if err := s.AddRepo(artifactorytest.Repo{Key: "docker-local"}); err != nil {
		log.Fatal(err)
	}
	if err := s.Start(""); err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	s.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultBadGateway, Classes: []string{artifactorytest.ClassAQL}, Times: 1})
	if err := s.PutImage("docker-local", "team/app", "1.0", empty.Image); err != nil {
		log.Fatal(err)
	}
	for _, t := range s.Tags() {
		fmt.Println(t.Repo, t.Image, t.Tag)
	}
	fmt.Println(s.Counts()[artifactorytest.ClassAQL].Requests, "AQL requests")
	// Output:
	// docker-local team/app 1.0
	// 0 AQL requests
}
