package blob_test

import (
	"testing"
)

// What a store promises it promises in a bucket too. The tests below are those of packs:
// in a test of this name a world has a bucket.
func TestInABucketAStoreKeepsItsPromises(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"what is put is read back":   TestWhatIsPutIsReadBack,
		"any range":                  TestReadAtGivesAnyRange,
		"header without the body":    TestHeaderIsReadWithoutTheBody,
		"spools of a killed process": TestSpoolsOfAKilledProcessAreRemoved,
		"io":                         TestReaderSatisfiesIO,
		"same bytes once":            TestSameBytesAreStoredOnce,
		"names under another key":    TestNamesDifferUnderAnotherKey,
		"error of the source":        TestErrorOfTheSourceStoresNothing,
		"cancelled put":              TestCancelledPutStoresNothing,
		"parts":                      TestPartsAreStoredDecodedOnceAndReadBackExactly,
		"parts that stay":            TestPartsThatWouldNotComeBackStayAsTheyCame,
		"senseless cuts":             TestCutsThatMakeNoSenseAreRefused,
		"cuts beyond":                TestCutsBeyondTheEndAndBeyondMaxParts,
		"many parts":                 TestManyPartsShareOneFile,
		"parts of parts":             TestPartThatIsItselfPutTogether,
		"two passes condemn":         TestTwoPassesCondemnAndAnHourDeletes,
		"a touch saves":              TestTouchBetweenPassesSaves,
		"condemned and put again":    TestHandleOfACondemnedBlobExpiresAndAFreshOneRevives,
		"handles expire":             TestHandleExpires,
		"slow puts":                  TestSlowPutComesWithLastingHandles,
		"parts live":                 TestPartsLiveAsLongAsWhatIsMadeOfThem,
		"looks end with their pace":  TestLookEndsWithItsPace,
		"shared parts":               TestLookReadsSharedPartsOnce,
		"opened once":                TestStoreIsOpenedOnce,
	} {
		t.Run(name, test)
	}
}
