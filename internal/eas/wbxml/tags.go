package wbxml

// The tags by code page (MS-ASWBXML §2.1.2.1). A name such as Type or Status is on
// several pages, so a tag is its page and its token.
const (
	// Code page 0, AirSync.
	AirSyncSync              Tag = 0<<8 | 0x05
	AirSyncResponses         Tag = 0<<8 | 0x06
	AirSyncAdd               Tag = 0<<8 | 0x07
	AirSyncChange            Tag = 0<<8 | 0x08
	AirSyncDelete            Tag = 0<<8 | 0x09
	AirSyncFetch             Tag = 0<<8 | 0x0a
	AirSyncSyncKey           Tag = 0<<8 | 0x0b
	AirSyncClientId          Tag = 0<<8 | 0x0c
	AirSyncServerId          Tag = 0<<8 | 0x0d
	AirSyncStatus            Tag = 0<<8 | 0x0e
	AirSyncCollection        Tag = 0<<8 | 0x0f
	AirSyncClass             Tag = 0<<8 | 0x10
	AirSyncVersion           Tag = 0<<8 | 0x11
	AirSyncCollectionId      Tag = 0<<8 | 0x12
	AirSyncGetChanges        Tag = 0<<8 | 0x13
	AirSyncMoreAvailable     Tag = 0<<8 | 0x14
	AirSyncWindowSize        Tag = 0<<8 | 0x15
	AirSyncCommands          Tag = 0<<8 | 0x16
	AirSyncOptions           Tag = 0<<8 | 0x17
	AirSyncFilterType        Tag = 0<<8 | 0x18
	AirSyncTruncation        Tag = 0<<8 | 0x19
	AirSyncRtfTruncation     Tag = 0<<8 | 0x1a
	AirSyncConflict          Tag = 0<<8 | 0x1b
	AirSyncCollections       Tag = 0<<8 | 0x1c
	AirSyncApplicationData   Tag = 0<<8 | 0x1d
	AirSyncDeletesAsMoves    Tag = 0<<8 | 0x1e
	AirSyncNotifyGUID        Tag = 0<<8 | 0x1f
	AirSyncSupported         Tag = 0<<8 | 0x20
	AirSyncSoftDelete        Tag = 0<<8 | 0x21
	AirSyncMIMESupport       Tag = 0<<8 | 0x22
	AirSyncMIMETruncation    Tag = 0<<8 | 0x23
	AirSyncWait              Tag = 0<<8 | 0x24
	AirSyncLimit             Tag = 0<<8 | 0x25
	AirSyncPartial           Tag = 0<<8 | 0x26
	AirSyncConversationMode  Tag = 0<<8 | 0x27
	AirSyncMaxItems          Tag = 0<<8 | 0x28
	AirSyncHeartbeatInterval Tag = 0<<8 | 0x29

	// Code page 1, Contacts.
	ContactsAnniversary               Tag = 1<<8 | 0x05
	ContactsAssistantName             Tag = 1<<8 | 0x06
	ContactsAssistantPhoneNumber      Tag = 1<<8 | 0x07
	ContactsBirthday                  Tag = 1<<8 | 0x08
	ContactsBody                      Tag = 1<<8 | 0x09
	ContactsBodySize                  Tag = 1<<8 | 0x0a
	ContactsBodyTruncated             Tag = 1<<8 | 0x0b
	ContactsBusiness2PhoneNumber      Tag = 1<<8 | 0x0c
	ContactsBusinessAddressCity       Tag = 1<<8 | 0x0d
	ContactsBusinessAddressCountry    Tag = 1<<8 | 0x0e
	ContactsBusinessAddressPostalCode Tag = 1<<8 | 0x0f
	ContactsBusinessAddressState      Tag = 1<<8 | 0x10
	ContactsBusinessAddressStreet     Tag = 1<<8 | 0x11
	ContactsBusinessFaxNumber         Tag = 1<<8 | 0x12
	ContactsBusinessPhoneNumber       Tag = 1<<8 | 0x13
	ContactsCarPhoneNumber            Tag = 1<<8 | 0x14
	ContactsCategories                Tag = 1<<8 | 0x15
	ContactsCategory                  Tag = 1<<8 | 0x16
	ContactsChildren                  Tag = 1<<8 | 0x17
	ContactsChild                     Tag = 1<<8 | 0x18
	ContactsCompanyName               Tag = 1<<8 | 0x19
	ContactsDepartment                Tag = 1<<8 | 0x1a
	ContactsEmail1Address             Tag = 1<<8 | 0x1b
	ContactsEmail2Address             Tag = 1<<8 | 0x1c
	ContactsEmail3Address             Tag = 1<<8 | 0x1d
	ContactsFileAs                    Tag = 1<<8 | 0x1e
	ContactsFirstName                 Tag = 1<<8 | 0x1f
	ContactsHome2PhoneNumber          Tag = 1<<8 | 0x20
	ContactsHomeAddressCity           Tag = 1<<8 | 0x21
	ContactsHomeAddressCountry        Tag = 1<<8 | 0x22
	ContactsHomeAddressPostalCode     Tag = 1<<8 | 0x23
	ContactsHomeAddressState          Tag = 1<<8 | 0x24
	ContactsHomeAddressStreet         Tag = 1<<8 | 0x25
	ContactsHomeFaxNumber             Tag = 1<<8 | 0x26
	ContactsHomePhoneNumber           Tag = 1<<8 | 0x27
	ContactsJobTitle                  Tag = 1<<8 | 0x28
	ContactsLastName                  Tag = 1<<8 | 0x29
	ContactsMiddleName                Tag = 1<<8 | 0x2a
	ContactsMobilePhoneNumber         Tag = 1<<8 | 0x2b
	ContactsOfficeLocation            Tag = 1<<8 | 0x2c
	ContactsOtherAddressCity          Tag = 1<<8 | 0x2d
	ContactsOtherAddressCountry       Tag = 1<<8 | 0x2e
	ContactsOtherAddressPostalCode    Tag = 1<<8 | 0x2f
	ContactsOtherAddressState         Tag = 1<<8 | 0x30
	ContactsOtherAddressStreet        Tag = 1<<8 | 0x31
	ContactsPagerNumber               Tag = 1<<8 | 0x32
	ContactsRadioPhoneNumber          Tag = 1<<8 | 0x33
	ContactsSpouse                    Tag = 1<<8 | 0x34
	ContactsSuffix                    Tag = 1<<8 | 0x35
	ContactsTitle                     Tag = 1<<8 | 0x36
	ContactsWebPage                   Tag = 1<<8 | 0x37
	ContactsYomiCompanyName           Tag = 1<<8 | 0x38
	ContactsYomiFirstName             Tag = 1<<8 | 0x39
	ContactsYomiLastName              Tag = 1<<8 | 0x3a
	ContactsCompressedRTF             Tag = 1<<8 | 0x3b
	ContactsPicture                   Tag = 1<<8 | 0x3c
	ContactsAlias                     Tag = 1<<8 | 0x3d
	ContactsWeightedRank              Tag = 1<<8 | 0x3e

	// Code page 2, Email.
	EmailAttachment              Tag = 2<<8 | 0x05
	EmailAttachments             Tag = 2<<8 | 0x06
	EmailAttName                 Tag = 2<<8 | 0x07
	EmailAttSize                 Tag = 2<<8 | 0x08
	EmailAttOid                  Tag = 2<<8 | 0x09
	EmailAttMethod               Tag = 2<<8 | 0x0a
	EmailAttRemoved              Tag = 2<<8 | 0x0b
	EmailBody                    Tag = 2<<8 | 0x0c
	EmailBodySize                Tag = 2<<8 | 0x0d
	EmailBodyTruncated           Tag = 2<<8 | 0x0e
	EmailDateReceived            Tag = 2<<8 | 0x0f
	EmailDisplayName             Tag = 2<<8 | 0x10
	EmailDisplayTo               Tag = 2<<8 | 0x11
	EmailImportance              Tag = 2<<8 | 0x12
	EmailMessageClass            Tag = 2<<8 | 0x13
	EmailSubject                 Tag = 2<<8 | 0x14
	EmailRead                    Tag = 2<<8 | 0x15
	EmailTo                      Tag = 2<<8 | 0x16
	EmailCc                      Tag = 2<<8 | 0x17
	EmailFrom                    Tag = 2<<8 | 0x18
	EmailReplyTo                 Tag = 2<<8 | 0x19
	EmailAllDayEvent             Tag = 2<<8 | 0x1a
	EmailCategories              Tag = 2<<8 | 0x1b
	EmailCategory                Tag = 2<<8 | 0x1c
	EmailDtStamp                 Tag = 2<<8 | 0x1d
	EmailEndTime                 Tag = 2<<8 | 0x1e
	EmailInstanceType            Tag = 2<<8 | 0x1f
	EmailBusyStatus              Tag = 2<<8 | 0x20
	EmailLocation                Tag = 2<<8 | 0x21
	EmailMeetingRequest          Tag = 2<<8 | 0x22
	EmailOrganizer               Tag = 2<<8 | 0x23
	EmailRecurrenceId            Tag = 2<<8 | 0x24
	EmailReminder                Tag = 2<<8 | 0x25
	EmailResponseRequested       Tag = 2<<8 | 0x26
	EmailRecurrences             Tag = 2<<8 | 0x27
	EmailRecurrence              Tag = 2<<8 | 0x28
	EmailType                    Tag = 2<<8 | 0x29
	EmailUntil                   Tag = 2<<8 | 0x2a
	EmailOccurrences             Tag = 2<<8 | 0x2b
	EmailInterval                Tag = 2<<8 | 0x2c
	EmailDayOfWeek               Tag = 2<<8 | 0x2d
	EmailDayOfMonth              Tag = 2<<8 | 0x2e
	EmailWeekOfMonth             Tag = 2<<8 | 0x2f
	EmailMonthOfYear             Tag = 2<<8 | 0x30
	EmailStartTime               Tag = 2<<8 | 0x31
	EmailSensitivity             Tag = 2<<8 | 0x32
	EmailTimeZone                Tag = 2<<8 | 0x33
	EmailGlobalObjId             Tag = 2<<8 | 0x34
	EmailThreadTopic             Tag = 2<<8 | 0x35
	EmailMIMEData                Tag = 2<<8 | 0x36
	EmailMIMETruncated           Tag = 2<<8 | 0x37
	EmailMIMESize                Tag = 2<<8 | 0x38
	EmailInternetCPID            Tag = 2<<8 | 0x39
	EmailFlag                    Tag = 2<<8 | 0x3a
	EmailStatus                  Tag = 2<<8 | 0x3b
	EmailContentClass            Tag = 2<<8 | 0x3c
	EmailFlagType                Tag = 2<<8 | 0x3d
	EmailCompleteTime            Tag = 2<<8 | 0x3e
	EmailDisallowNewTimeProposal Tag = 2<<8 | 0x3f

	// Code page 4, Calendar.
	CalendarTimezone                  Tag = 4<<8 | 0x05
	CalendarAllDayEvent               Tag = 4<<8 | 0x06
	CalendarAttendees                 Tag = 4<<8 | 0x07
	CalendarAttendee                  Tag = 4<<8 | 0x08
	CalendarEmail                     Tag = 4<<8 | 0x09
	CalendarName                      Tag = 4<<8 | 0x0a
	CalendarBody                      Tag = 4<<8 | 0x0b
	CalendarBodyTruncated             Tag = 4<<8 | 0x0c
	CalendarBusyStatus                Tag = 4<<8 | 0x0d
	CalendarCategories                Tag = 4<<8 | 0x0e
	CalendarCategory                  Tag = 4<<8 | 0x0f
	CalendarCompressedRTF             Tag = 4<<8 | 0x10
	CalendarDtStamp                   Tag = 4<<8 | 0x11
	CalendarEndTime                   Tag = 4<<8 | 0x12
	CalendarException                 Tag = 4<<8 | 0x13
	CalendarExceptions                Tag = 4<<8 | 0x14
	CalendarDeleted                   Tag = 4<<8 | 0x15
	CalendarExceptionStartTime        Tag = 4<<8 | 0x16
	CalendarLocation                  Tag = 4<<8 | 0x17
	CalendarMeetingStatus             Tag = 4<<8 | 0x18
	CalendarOrganizerEmail            Tag = 4<<8 | 0x19
	CalendarOrganizerName             Tag = 4<<8 | 0x1a
	CalendarRecurrence                Tag = 4<<8 | 0x1b
	CalendarType                      Tag = 4<<8 | 0x1c
	CalendarUntil                     Tag = 4<<8 | 0x1d
	CalendarOccurrences               Tag = 4<<8 | 0x1e
	CalendarInterval                  Tag = 4<<8 | 0x1f
	CalendarDayOfWeek                 Tag = 4<<8 | 0x20
	CalendarDayOfMonth                Tag = 4<<8 | 0x21
	CalendarWeekOfMonth               Tag = 4<<8 | 0x22
	CalendarMonthOfYear               Tag = 4<<8 | 0x23
	CalendarReminder                  Tag = 4<<8 | 0x24
	CalendarSensitivity               Tag = 4<<8 | 0x25
	CalendarSubject                   Tag = 4<<8 | 0x26
	CalendarStartTime                 Tag = 4<<8 | 0x27
	CalendarUID                       Tag = 4<<8 | 0x28
	CalendarAttendeeStatus            Tag = 4<<8 | 0x29
	CalendarAttendeeType              Tag = 4<<8 | 0x2a
	CalendarAttachment                Tag = 4<<8 | 0x2b
	CalendarAttachments               Tag = 4<<8 | 0x2c
	CalendarAttName                   Tag = 4<<8 | 0x2d
	CalendarAttSize                   Tag = 4<<8 | 0x2e
	CalendarAttOid                    Tag = 4<<8 | 0x2f
	CalendarAttMethod                 Tag = 4<<8 | 0x30
	CalendarAttRemoved                Tag = 4<<8 | 0x31
	CalendarDisplayName               Tag = 4<<8 | 0x32
	CalendarDisallowNewTimeProposal   Tag = 4<<8 | 0x33
	CalendarResponseRequested         Tag = 4<<8 | 0x34
	CalendarAppointmentReplyTime      Tag = 4<<8 | 0x35
	CalendarResponseType              Tag = 4<<8 | 0x36
	CalendarCalendarType              Tag = 4<<8 | 0x37
	CalendarIsLeapMonth               Tag = 4<<8 | 0x38
	CalendarFirstDayOfWeek            Tag = 4<<8 | 0x39
	CalendarOnlineMeetingConfLink     Tag = 4<<8 | 0x3a
	CalendarOnlineMeetingExternalLink Tag = 4<<8 | 0x3b
	CalendarClientUid                 Tag = 4<<8 | 0x3c

	// Code page 5, Move.
	MoveMoveItems Tag = 5<<8 | 0x05
	MoveMove      Tag = 5<<8 | 0x06
	MoveSrcMsgId  Tag = 5<<8 | 0x07
	MoveSrcFldId  Tag = 5<<8 | 0x08
	MoveDstFldId  Tag = 5<<8 | 0x09
	MoveResponse  Tag = 5<<8 | 0x0a
	MoveStatus    Tag = 5<<8 | 0x0b
	MoveDstMsgId  Tag = 5<<8 | 0x0c

	// Code page 6, GetItemEstimate.
	EstimateGetItemEstimate Tag = 6<<8 | 0x05
	EstimateVersion         Tag = 6<<8 | 0x06
	EstimateCollections     Tag = 6<<8 | 0x07
	EstimateCollection      Tag = 6<<8 | 0x08
	EstimateClass           Tag = 6<<8 | 0x09
	EstimateCollectionId    Tag = 6<<8 | 0x0a
	EstimateDateTime        Tag = 6<<8 | 0x0b
	EstimateEstimate        Tag = 6<<8 | 0x0c
	EstimateResponse        Tag = 6<<8 | 0x0d
	EstimateStatus          Tag = 6<<8 | 0x0e

	// Code page 7, FolderHierarchy.
	FolderFolders      Tag = 7<<8 | 0x05
	FolderFolder       Tag = 7<<8 | 0x06
	FolderDisplayName  Tag = 7<<8 | 0x07
	FolderServerId     Tag = 7<<8 | 0x08
	FolderParentId     Tag = 7<<8 | 0x09
	FolderType         Tag = 7<<8 | 0x0a
	FolderResponse     Tag = 7<<8 | 0x0b
	FolderStatus       Tag = 7<<8 | 0x0c
	FolderContentClass Tag = 7<<8 | 0x0d
	FolderChanges      Tag = 7<<8 | 0x0e
	FolderAdd          Tag = 7<<8 | 0x0f
	FolderDelete       Tag = 7<<8 | 0x10
	FolderUpdate       Tag = 7<<8 | 0x11
	FolderSyncKey      Tag = 7<<8 | 0x12
	FolderFolderCreate Tag = 7<<8 | 0x13
	FolderFolderDelete Tag = 7<<8 | 0x14
	FolderFolderUpdate Tag = 7<<8 | 0x15
	FolderFolderSync   Tag = 7<<8 | 0x16
	FolderCount        Tag = 7<<8 | 0x17
	FolderVersion      Tag = 7<<8 | 0x18

	// Code page 8, MeetingResponse.
	MeetingCalendarId        Tag = 8<<8 | 0x05
	MeetingCollectionId      Tag = 8<<8 | 0x06
	MeetingMeetingResponse   Tag = 8<<8 | 0x07
	MeetingRequestId         Tag = 8<<8 | 0x08
	MeetingRequest           Tag = 8<<8 | 0x09
	MeetingResult            Tag = 8<<8 | 0x0a
	MeetingStatus            Tag = 8<<8 | 0x0b
	MeetingUserResponse      Tag = 8<<8 | 0x0c
	MeetingVersion           Tag = 8<<8 | 0x0d
	MeetingInstanceId        Tag = 8<<8 | 0x0e
	MeetingProposedStartTime Tag = 8<<8 | 0x10
	MeetingProposedEndTime   Tag = 8<<8 | 0x11
	MeetingSendResponse      Tag = 8<<8 | 0x12

	// Code page 9, Tasks.
	TasksBody           Tag = 9<<8 | 0x05
	TasksBodySize       Tag = 9<<8 | 0x06
	TasksBodyTruncated  Tag = 9<<8 | 0x07
	TasksCategories     Tag = 9<<8 | 0x08
	TasksCategory       Tag = 9<<8 | 0x09
	TasksComplete       Tag = 9<<8 | 0x0a
	TasksDateCompleted  Tag = 9<<8 | 0x0b
	TasksDueDate        Tag = 9<<8 | 0x0c
	TasksUtcDueDate     Tag = 9<<8 | 0x0d
	TasksImportance     Tag = 9<<8 | 0x0e
	TasksRecurrence     Tag = 9<<8 | 0x0f
	TasksType           Tag = 9<<8 | 0x10
	TasksStart          Tag = 9<<8 | 0x11
	TasksUntil          Tag = 9<<8 | 0x12
	TasksOccurrences    Tag = 9<<8 | 0x13
	TasksInterval       Tag = 9<<8 | 0x14
	TasksDayOfMonth     Tag = 9<<8 | 0x15
	TasksDayOfWeek      Tag = 9<<8 | 0x16
	TasksWeekOfMonth    Tag = 9<<8 | 0x17
	TasksMonthOfYear    Tag = 9<<8 | 0x18
	TasksRegenerate     Tag = 9<<8 | 0x19
	TasksDeadOccur      Tag = 9<<8 | 0x1a
	TasksReminderSet    Tag = 9<<8 | 0x1b
	TasksReminderTime   Tag = 9<<8 | 0x1c
	TasksSensitivity    Tag = 9<<8 | 0x1d
	TasksStartDate      Tag = 9<<8 | 0x1e
	TasksUtcStartDate   Tag = 9<<8 | 0x1f
	TasksSubject        Tag = 9<<8 | 0x20
	TasksRtf            Tag = 9<<8 | 0x21
	TasksOrdinalDate    Tag = 9<<8 | 0x22
	TasksSubOrdinalDate Tag = 9<<8 | 0x23
	TasksCalendarType   Tag = 9<<8 | 0x24
	TasksIsLeapMonth    Tag = 9<<8 | 0x25
	TasksFirstDayOfWeek Tag = 9<<8 | 0x26

	// Code page 10, ResolveRecipients.
	ResolveResolveRecipients      Tag = 10<<8 | 0x05
	ResolveResponse               Tag = 10<<8 | 0x06
	ResolveStatus                 Tag = 10<<8 | 0x07
	ResolveType                   Tag = 10<<8 | 0x08
	ResolveRecipient              Tag = 10<<8 | 0x09
	ResolveDisplayName            Tag = 10<<8 | 0x0a
	ResolveEmailAddress           Tag = 10<<8 | 0x0b
	ResolveCertificates           Tag = 10<<8 | 0x0c
	ResolveCertificate            Tag = 10<<8 | 0x0d
	ResolveMiniCertificate        Tag = 10<<8 | 0x0e
	ResolveOptions                Tag = 10<<8 | 0x0f
	ResolveTo                     Tag = 10<<8 | 0x10
	ResolveCertificateRetrieval   Tag = 10<<8 | 0x11
	ResolveRecipientCount         Tag = 10<<8 | 0x12
	ResolveMaxCertificates        Tag = 10<<8 | 0x13
	ResolveMaxAmbiguousRecipients Tag = 10<<8 | 0x14
	ResolveCertificateCount       Tag = 10<<8 | 0x15
	ResolveAvailability           Tag = 10<<8 | 0x16
	ResolveStartTime              Tag = 10<<8 | 0x17
	ResolveEndTime                Tag = 10<<8 | 0x18
	ResolveMergedFreeBusy         Tag = 10<<8 | 0x19
	ResolvePicture                Tag = 10<<8 | 0x1a
	ResolveMaxSize                Tag = 10<<8 | 0x1b
	ResolveData                   Tag = 10<<8 | 0x1c
	ResolveMaxPictures            Tag = 10<<8 | 0x1d

	// Code page 11, ValidateCert.
	CertValidateCert     Tag = 11<<8 | 0x05
	CertCertificates     Tag = 11<<8 | 0x06
	CertCertificate      Tag = 11<<8 | 0x07
	CertCertificateChain Tag = 11<<8 | 0x08
	CertCheckCRL         Tag = 11<<8 | 0x09
	CertStatus           Tag = 11<<8 | 0x0a

	// Code page 12, Contacts2.
	Contacts2CustomerId       Tag = 12<<8 | 0x05
	Contacts2GovernmentId     Tag = 12<<8 | 0x06
	Contacts2IMAddress        Tag = 12<<8 | 0x07
	Contacts2IMAddress2       Tag = 12<<8 | 0x08
	Contacts2IMAddress3       Tag = 12<<8 | 0x09
	Contacts2ManagerName      Tag = 12<<8 | 0x0a
	Contacts2CompanyMainPhone Tag = 12<<8 | 0x0b
	Contacts2AccountName      Tag = 12<<8 | 0x0c
	Contacts2NickName         Tag = 12<<8 | 0x0d
	Contacts2MMS              Tag = 12<<8 | 0x0e

	// Code page 13, Ping.
	PingPing              Tag = 13<<8 | 0x05
	PingAutdState         Tag = 13<<8 | 0x06
	PingStatus            Tag = 13<<8 | 0x07
	PingHeartbeatInterval Tag = 13<<8 | 0x08
	PingFolders           Tag = 13<<8 | 0x09
	PingFolder            Tag = 13<<8 | 0x0a
	PingId                Tag = 13<<8 | 0x0b
	PingClass             Tag = 13<<8 | 0x0c
	PingMaxFolders        Tag = 13<<8 | 0x0d
	PingVersion           Tag = 13<<8 | 0x0e

	// Code page 14, Provision.
	ProvisionProvision                                Tag = 14<<8 | 0x05
	ProvisionPolicies                                 Tag = 14<<8 | 0x06
	ProvisionPolicy                                   Tag = 14<<8 | 0x07
	ProvisionPolicyType                               Tag = 14<<8 | 0x08
	ProvisionPolicyKey                                Tag = 14<<8 | 0x09
	ProvisionData                                     Tag = 14<<8 | 0x0a
	ProvisionStatus                                   Tag = 14<<8 | 0x0b
	ProvisionRemoteWipe                               Tag = 14<<8 | 0x0c
	ProvisionEASProvisionDoc                          Tag = 14<<8 | 0x0d
	ProvisionDevicePasswordEnabled                    Tag = 14<<8 | 0x0e
	ProvisionAlphanumericDevicePasswordRequired       Tag = 14<<8 | 0x0f
	ProvisionRequireStorageCardEncryption             Tag = 14<<8 | 0x10
	ProvisionPasswordRecoveryEnabled                  Tag = 14<<8 | 0x11
	ProvisionDocumentBrowseEnabled                    Tag = 14<<8 | 0x12
	ProvisionAttachmentsEnabled                       Tag = 14<<8 | 0x13
	ProvisionMinDevicePasswordLength                  Tag = 14<<8 | 0x14
	ProvisionMaxInactivityTimeDeviceLock              Tag = 14<<8 | 0x15
	ProvisionMaxDevicePasswordFailedAttempts          Tag = 14<<8 | 0x16
	ProvisionMaxAttachmentSize                        Tag = 14<<8 | 0x17
	ProvisionAllowSimpleDevicePassword                Tag = 14<<8 | 0x18
	ProvisionDevicePasswordExpiration                 Tag = 14<<8 | 0x19
	ProvisionDevicePasswordHistory                    Tag = 14<<8 | 0x1a
	ProvisionAllowStorageCard                         Tag = 14<<8 | 0x1b
	ProvisionAllowCamera                              Tag = 14<<8 | 0x1c
	ProvisionRequireDeviceEncryption                  Tag = 14<<8 | 0x1d
	ProvisionAllowUnsignedApplications                Tag = 14<<8 | 0x1e
	ProvisionAllowUnsignedInstallationPackages        Tag = 14<<8 | 0x1f
	ProvisionMinDevicePasswordComplexCharacters       Tag = 14<<8 | 0x20
	ProvisionAllowWiFi                                Tag = 14<<8 | 0x21
	ProvisionAllowTextMessaging                       Tag = 14<<8 | 0x22
	ProvisionAllowPOPIMAPEmail                        Tag = 14<<8 | 0x23
	ProvisionAllowBluetooth                           Tag = 14<<8 | 0x24
	ProvisionAllowIrDA                                Tag = 14<<8 | 0x25
	ProvisionRequireManualSyncWhenRoaming             Tag = 14<<8 | 0x26
	ProvisionAllowDesktopSync                         Tag = 14<<8 | 0x27
	ProvisionMaxCalendarAgeFilter                     Tag = 14<<8 | 0x28
	ProvisionAllowHTMLEmail                           Tag = 14<<8 | 0x29
	ProvisionMaxEmailAgeFilter                        Tag = 14<<8 | 0x2a
	ProvisionMaxEmailBodyTruncationSize               Tag = 14<<8 | 0x2b
	ProvisionMaxEmailHTMLBodyTruncationSize           Tag = 14<<8 | 0x2c
	ProvisionRequireSignedSMIMEMessages               Tag = 14<<8 | 0x2d
	ProvisionRequireEncryptedSMIMEMessages            Tag = 14<<8 | 0x2e
	ProvisionRequireSignedSMIMEAlgorithm              Tag = 14<<8 | 0x2f
	ProvisionRequireEncryptionSMIMEAlgorithm          Tag = 14<<8 | 0x30
	ProvisionAllowSMIMEEncryptionAlgorithmNegotiation Tag = 14<<8 | 0x31
	ProvisionAllowSMIMESoftCerts                      Tag = 14<<8 | 0x32
	ProvisionAllowBrowser                             Tag = 14<<8 | 0x33
	ProvisionAllowConsumerEmail                       Tag = 14<<8 | 0x34
	ProvisionAllowRemoteDesktop                       Tag = 14<<8 | 0x35
	ProvisionAllowInternetSharing                     Tag = 14<<8 | 0x36
	ProvisionUnapprovedInROMApplicationList           Tag = 14<<8 | 0x37
	ProvisionApplicationName                          Tag = 14<<8 | 0x38
	ProvisionApprovedApplicationList                  Tag = 14<<8 | 0x39
	ProvisionHash                                     Tag = 14<<8 | 0x3a
	ProvisionAccountOnlyRemoteWipe                    Tag = 14<<8 | 0x3b

	// Code page 15, Search.
	SearchSearch         Tag = 15<<8 | 0x05
	SearchStores         Tag = 15<<8 | 0x06
	SearchStore          Tag = 15<<8 | 0x07
	SearchName           Tag = 15<<8 | 0x08
	SearchQuery          Tag = 15<<8 | 0x09
	SearchOptions        Tag = 15<<8 | 0x0a
	SearchRange          Tag = 15<<8 | 0x0b
	SearchStatus         Tag = 15<<8 | 0x0c
	SearchResponse       Tag = 15<<8 | 0x0d
	SearchResult         Tag = 15<<8 | 0x0e
	SearchProperties     Tag = 15<<8 | 0x0f
	SearchTotal          Tag = 15<<8 | 0x10
	SearchEqualTo        Tag = 15<<8 | 0x11
	SearchValue          Tag = 15<<8 | 0x12
	SearchAnd            Tag = 15<<8 | 0x13
	SearchOr             Tag = 15<<8 | 0x14
	SearchFreeText       Tag = 15<<8 | 0x15
	SearchDeepTraversal  Tag = 15<<8 | 0x17
	SearchLongId         Tag = 15<<8 | 0x18
	SearchRebuildResults Tag = 15<<8 | 0x19
	SearchLessThan       Tag = 15<<8 | 0x1a
	SearchGreaterThan    Tag = 15<<8 | 0x1b
	SearchSchema         Tag = 15<<8 | 0x1c
	SearchSupported      Tag = 15<<8 | 0x1d
	SearchUserName       Tag = 15<<8 | 0x1e
	SearchPassword       Tag = 15<<8 | 0x1f
	SearchConversationId Tag = 15<<8 | 0x20
	SearchPicture        Tag = 15<<8 | 0x21
	SearchMaxSize        Tag = 15<<8 | 0x22
	SearchMaxPictures    Tag = 15<<8 | 0x23

	// Code page 16, Gal.
	GALDisplayName  Tag = 16<<8 | 0x05
	GALPhone        Tag = 16<<8 | 0x06
	GALOffice       Tag = 16<<8 | 0x07
	GALTitle        Tag = 16<<8 | 0x08
	GALCompany      Tag = 16<<8 | 0x09
	GALAlias        Tag = 16<<8 | 0x0a
	GALFirstName    Tag = 16<<8 | 0x0b
	GALLastName     Tag = 16<<8 | 0x0c
	GALHomePhone    Tag = 16<<8 | 0x0d
	GALMobilePhone  Tag = 16<<8 | 0x0e
	GALEmailAddress Tag = 16<<8 | 0x0f
	GALPicture      Tag = 16<<8 | 0x10
	GALStatus       Tag = 16<<8 | 0x11
	GALData         Tag = 16<<8 | 0x12

	// Code page 17, AirSyncBase.
	BaseBodyPreference     Tag = 17<<8 | 0x05
	BaseType               Tag = 17<<8 | 0x06
	BaseTruncationSize     Tag = 17<<8 | 0x07
	BaseAllOrNone          Tag = 17<<8 | 0x08
	BaseBody               Tag = 17<<8 | 0x0a
	BaseData               Tag = 17<<8 | 0x0b
	BaseEstimatedDataSize  Tag = 17<<8 | 0x0c
	BaseTruncated          Tag = 17<<8 | 0x0d
	BaseAttachments        Tag = 17<<8 | 0x0e
	BaseAttachment         Tag = 17<<8 | 0x0f
	BaseDisplayName        Tag = 17<<8 | 0x10
	BaseFileReference      Tag = 17<<8 | 0x11
	BaseMethod             Tag = 17<<8 | 0x12
	BaseContentId          Tag = 17<<8 | 0x13
	BaseContentLocation    Tag = 17<<8 | 0x14
	BaseIsInline           Tag = 17<<8 | 0x15
	BaseNativeBodyType     Tag = 17<<8 | 0x16
	BaseContentType        Tag = 17<<8 | 0x17
	BasePreview            Tag = 17<<8 | 0x18
	BaseBodyPartPreference Tag = 17<<8 | 0x19
	BaseBodyPart           Tag = 17<<8 | 0x1a
	BaseStatus             Tag = 17<<8 | 0x1b
	BaseAdd                Tag = 17<<8 | 0x1c
	BaseDelete             Tag = 17<<8 | 0x1d
	BaseClientId           Tag = 17<<8 | 0x1e
	BaseContent            Tag = 17<<8 | 0x1f
	BaseLocation           Tag = 17<<8 | 0x20
	BaseAnnotation         Tag = 17<<8 | 0x21
	BaseStreet             Tag = 17<<8 | 0x22
	BaseCity               Tag = 17<<8 | 0x23
	BaseState              Tag = 17<<8 | 0x24
	BaseCountry            Tag = 17<<8 | 0x25
	BasePostalCode         Tag = 17<<8 | 0x26
	BaseLatitude           Tag = 17<<8 | 0x27
	BaseLongitude          Tag = 17<<8 | 0x28
	BaseAccuracy           Tag = 17<<8 | 0x29
	BaseAltitude           Tag = 17<<8 | 0x2a
	BaseAltitudeAccuracy   Tag = 17<<8 | 0x2b
	BaseLocationUri        Tag = 17<<8 | 0x2c
	BaseInstanceId         Tag = 17<<8 | 0x2d

	// Code page 18, Settings.
	SettingsSettings                    Tag = 18<<8 | 0x05
	SettingsStatus                      Tag = 18<<8 | 0x06
	SettingsGet                         Tag = 18<<8 | 0x07
	SettingsSet                         Tag = 18<<8 | 0x08
	SettingsOof                         Tag = 18<<8 | 0x09
	SettingsOofState                    Tag = 18<<8 | 0x0a
	SettingsStartTime                   Tag = 18<<8 | 0x0b
	SettingsEndTime                     Tag = 18<<8 | 0x0c
	SettingsOofMessage                  Tag = 18<<8 | 0x0d
	SettingsAppliesToInternal           Tag = 18<<8 | 0x0e
	SettingsAppliesToExternalKnown      Tag = 18<<8 | 0x0f
	SettingsAppliesToExternalUnknown    Tag = 18<<8 | 0x10
	SettingsEnabled                     Tag = 18<<8 | 0x11
	SettingsReplyMessage                Tag = 18<<8 | 0x12
	SettingsBodyType                    Tag = 18<<8 | 0x13
	SettingsDevicePassword              Tag = 18<<8 | 0x14
	SettingsPassword                    Tag = 18<<8 | 0x15
	SettingsDeviceInformation           Tag = 18<<8 | 0x16
	SettingsModel                       Tag = 18<<8 | 0x17
	SettingsIMEI                        Tag = 18<<8 | 0x18
	SettingsFriendlyName                Tag = 18<<8 | 0x19
	SettingsOS                          Tag = 18<<8 | 0x1a
	SettingsOSLanguage                  Tag = 18<<8 | 0x1b
	SettingsPhoneNumber                 Tag = 18<<8 | 0x1c
	SettingsUserInformation             Tag = 18<<8 | 0x1d
	SettingsEmailAddresses              Tag = 18<<8 | 0x1e
	SettingsSMTPAddress                 Tag = 18<<8 | 0x1f
	SettingsUserAgent                   Tag = 18<<8 | 0x20
	SettingsEnableOutboundSMS           Tag = 18<<8 | 0x21
	SettingsMobileOperator              Tag = 18<<8 | 0x22
	SettingsPrimarySmtpAddress          Tag = 18<<8 | 0x23
	SettingsAccounts                    Tag = 18<<8 | 0x24
	SettingsAccount                     Tag = 18<<8 | 0x25
	SettingsAccountId                   Tag = 18<<8 | 0x26
	SettingsAccountName                 Tag = 18<<8 | 0x27
	SettingsUserDisplayName             Tag = 18<<8 | 0x28
	SettingsSendDisabled                Tag = 18<<8 | 0x29
	SettingsRightsManagementInformation Tag = 18<<8 | 0x2b

	// Code page 19, DocumentLibrary.
	DocumentsLinkId           Tag = 19<<8 | 0x05
	DocumentsDisplayName      Tag = 19<<8 | 0x06
	DocumentsIsFolder         Tag = 19<<8 | 0x07
	DocumentsCreationDate     Tag = 19<<8 | 0x08
	DocumentsLastModifiedDate Tag = 19<<8 | 0x09
	DocumentsIsHidden         Tag = 19<<8 | 0x0a
	DocumentsContentLength    Tag = 19<<8 | 0x0b
	DocumentsContentType      Tag = 19<<8 | 0x0c

	// Code page 20, ItemOperations.
	ItemsItemOperations      Tag = 20<<8 | 0x05
	ItemsFetch               Tag = 20<<8 | 0x06
	ItemsStore               Tag = 20<<8 | 0x07
	ItemsOptions             Tag = 20<<8 | 0x08
	ItemsRange               Tag = 20<<8 | 0x09
	ItemsTotal               Tag = 20<<8 | 0x0a
	ItemsProperties          Tag = 20<<8 | 0x0b
	ItemsData                Tag = 20<<8 | 0x0c
	ItemsStatus              Tag = 20<<8 | 0x0d
	ItemsResponse            Tag = 20<<8 | 0x0e
	ItemsVersion             Tag = 20<<8 | 0x0f
	ItemsSchema              Tag = 20<<8 | 0x10
	ItemsPart                Tag = 20<<8 | 0x11
	ItemsEmptyFolderContents Tag = 20<<8 | 0x12
	ItemsDeleteSubFolders    Tag = 20<<8 | 0x13
	ItemsUserName            Tag = 20<<8 | 0x14
	ItemsPassword            Tag = 20<<8 | 0x15
	ItemsMove                Tag = 20<<8 | 0x16
	ItemsDstFldId            Tag = 20<<8 | 0x17
	ItemsConversationId      Tag = 20<<8 | 0x18
	ItemsMoveAlways          Tag = 20<<8 | 0x19

	// Code page 21, ComposeMail.
	ComposeSendMail        Tag = 21<<8 | 0x05
	ComposeSmartForward    Tag = 21<<8 | 0x06
	ComposeSmartReply      Tag = 21<<8 | 0x07
	ComposeSaveInSentItems Tag = 21<<8 | 0x08
	ComposeReplaceMime     Tag = 21<<8 | 0x09
	ComposeType            Tag = 21<<8 | 0x0a
	ComposeSource          Tag = 21<<8 | 0x0b
	ComposeFolderId        Tag = 21<<8 | 0x0c
	ComposeItemId          Tag = 21<<8 | 0x0d
	ComposeLongId          Tag = 21<<8 | 0x0e
	ComposeInstanceId      Tag = 21<<8 | 0x0f
	ComposeMime            Tag = 21<<8 | 0x10
	ComposeClientId        Tag = 21<<8 | 0x11
	ComposeStatus          Tag = 21<<8 | 0x12
	ComposeAccountId       Tag = 21<<8 | 0x13
	ComposeForwardees      Tag = 21<<8 | 0x15
	ComposeForwardee       Tag = 21<<8 | 0x16
	ComposeName            Tag = 21<<8 | 0x17
	ComposeEmail           Tag = 21<<8 | 0x18

	// Code page 22, Email2.
	Email2UmCallerID            Tag = 22<<8 | 0x05
	Email2UmUserNotes           Tag = 22<<8 | 0x06
	Email2UmAttDuration         Tag = 22<<8 | 0x07
	Email2UmAttOrder            Tag = 22<<8 | 0x08
	Email2ConversationId        Tag = 22<<8 | 0x09
	Email2ConversationIndex     Tag = 22<<8 | 0x0a
	Email2LastVerbExecuted      Tag = 22<<8 | 0x0b
	Email2LastVerbExecutionTime Tag = 22<<8 | 0x0c
	Email2ReceivedAsBcc         Tag = 22<<8 | 0x0d
	Email2Sender                Tag = 22<<8 | 0x0e
	Email2CalendarType          Tag = 22<<8 | 0x0f
	Email2IsLeapMonth           Tag = 22<<8 | 0x10
	Email2AccountId             Tag = 22<<8 | 0x11
	Email2FirstDayOfWeek        Tag = 22<<8 | 0x12
	Email2MeetingMessageType    Tag = 22<<8 | 0x13
	Email2IsDraft               Tag = 22<<8 | 0x15
	Email2Bcc                   Tag = 22<<8 | 0x16
	Email2Send                  Tag = 22<<8 | 0x17

	// Code page 23, Notes.
	NotesSubject          Tag = 23<<8 | 0x05
	NotesMessageClass     Tag = 23<<8 | 0x06
	NotesLastModifiedDate Tag = 23<<8 | 0x07
	NotesCategories       Tag = 23<<8 | 0x08
	NotesCategory         Tag = 23<<8 | 0x09

	// Code page 24, RightsManagement.
	RightsRightsManagementSupport          Tag = 24<<8 | 0x05
	RightsRightsManagementTemplates        Tag = 24<<8 | 0x06
	RightsRightsManagementTemplate         Tag = 24<<8 | 0x07
	RightsRightsManagementLicense          Tag = 24<<8 | 0x08
	RightsEditAllowed                      Tag = 24<<8 | 0x09
	RightsReplyAllowed                     Tag = 24<<8 | 0x0a
	RightsReplyAllAllowed                  Tag = 24<<8 | 0x0b
	RightsForwardAllowed                   Tag = 24<<8 | 0x0c
	RightsModifyRecipientsAllowed          Tag = 24<<8 | 0x0d
	RightsExtractAllowed                   Tag = 24<<8 | 0x0e
	RightsPrintAllowed                     Tag = 24<<8 | 0x0f
	RightsExportAllowed                    Tag = 24<<8 | 0x10
	RightsProgrammaticAccessAllowed        Tag = 24<<8 | 0x11
	RightsOwner                            Tag = 24<<8 | 0x12
	RightsContentExpiryDate                Tag = 24<<8 | 0x13
	RightsTemplateID                       Tag = 24<<8 | 0x14
	RightsTemplateName                     Tag = 24<<8 | 0x15
	RightsTemplateDescription              Tag = 24<<8 | 0x16
	RightsContentOwner                     Tag = 24<<8 | 0x17
	RightsRemoveRightsManagementProtection Tag = 24<<8 | 0x18

	// Code page 25, Find.
	FindFind                   Tag = 25<<8 | 0x05
	FindSearchId               Tag = 25<<8 | 0x06
	FindExecuteSearch          Tag = 25<<8 | 0x07
	FindMailBoxSearchCriterion Tag = 25<<8 | 0x08
	FindQuery                  Tag = 25<<8 | 0x09
	FindStatus                 Tag = 25<<8 | 0x0a
	FindFreeText               Tag = 25<<8 | 0x0b
	FindOptions                Tag = 25<<8 | 0x0c
	FindRange                  Tag = 25<<8 | 0x0d
	FindDeepTraversal          Tag = 25<<8 | 0x0e
	FindResponse               Tag = 25<<8 | 0x11
	FindResult                 Tag = 25<<8 | 0x12
	FindProperties             Tag = 25<<8 | 0x13
	FindPreview                Tag = 25<<8 | 0x14
	FindHasAttachments         Tag = 25<<8 | 0x15
	FindTotal                  Tag = 25<<8 | 0x16
	FindDisplayCc              Tag = 25<<8 | 0x17
	FindDisplayBcc             Tag = 25<<8 | 0x18
	FindGalSearchCriterion     Tag = 25<<8 | 0x19
	FindMaxPictures            Tag = 25<<8 | 0x20
	FindMaxSize                Tag = 25<<8 | 0x21
	FindPicture                Tag = 25<<8 | 0x22
)

// pages are the code pages by number: the namespace, and the names from token 5 on.
var pages = [...]page{
	0: {"AirSync", map[byte]string{
		0x05: "Sync", 0x06: "Responses", 0x07: "Add", 0x08: "Change", 0x09: "Delete", 0x0a: "Fetch", 0x0b: "SyncKey", 0x0c: "ClientId", 0x0d: "ServerId",
		0x0e: "Status", 0x0f: "Collection", 0x10: "Class", 0x11: "Version", 0x12: "CollectionId", 0x13: "GetChanges", 0x14: "MoreAvailable",
		0x15: "WindowSize", 0x16: "Commands", 0x17: "Options", 0x18: "FilterType", 0x19: "Truncation", 0x1a: "RtfTruncation", 0x1b: "Conflict",
		0x1c: "Collections", 0x1d: "ApplicationData", 0x1e: "DeletesAsMoves", 0x1f: "NotifyGUID", 0x20: "Supported", 0x21: "SoftDelete",
		0x22: "MIMESupport", 0x23: "MIMETruncation", 0x24: "Wait", 0x25: "Limit", 0x26: "Partial", 0x27: "ConversationMode", 0x28: "MaxItems",
		0x29: "HeartbeatInterval",
	}},
	1: {"Contacts", map[byte]string{
		0x05: "Anniversary", 0x06: "AssistantName", 0x07: "AssistantPhoneNumber", 0x08: "Birthday", 0x09: "Body", 0x0a: "BodySize", 0x0b: "BodyTruncated",
		0x0c: "Business2PhoneNumber", 0x0d: "BusinessAddressCity", 0x0e: "BusinessAddressCountry", 0x0f: "BusinessAddressPostalCode",
		0x10: "BusinessAddressState", 0x11: "BusinessAddressStreet", 0x12: "BusinessFaxNumber", 0x13: "BusinessPhoneNumber", 0x14: "CarPhoneNumber",
		0x15: "Categories", 0x16: "Category", 0x17: "Children", 0x18: "Child", 0x19: "CompanyName", 0x1a: "Department", 0x1b: "Email1Address",
		0x1c: "Email2Address", 0x1d: "Email3Address", 0x1e: "FileAs", 0x1f: "FirstName", 0x20: "Home2PhoneNumber", 0x21: "HomeAddressCity",
		0x22: "HomeAddressCountry", 0x23: "HomeAddressPostalCode", 0x24: "HomeAddressState", 0x25: "HomeAddressStreet", 0x26: "HomeFaxNumber",
		0x27: "HomePhoneNumber", 0x28: "JobTitle", 0x29: "LastName", 0x2a: "MiddleName", 0x2b: "MobilePhoneNumber", 0x2c: "OfficeLocation",
		0x2d: "OtherAddressCity", 0x2e: "OtherAddressCountry", 0x2f: "OtherAddressPostalCode", 0x30: "OtherAddressState", 0x31: "OtherAddressStreet",
		0x32: "PagerNumber", 0x33: "RadioPhoneNumber", 0x34: "Spouse", 0x35: "Suffix", 0x36: "Title", 0x37: "WebPage", 0x38: "YomiCompanyName",
		0x39: "YomiFirstName", 0x3a: "YomiLastName", 0x3b: "CompressedRTF", 0x3c: "Picture", 0x3d: "Alias", 0x3e: "WeightedRank",
	}},
	2: {"Email", map[byte]string{
		0x05: "Attachment", 0x06: "Attachments", 0x07: "AttName", 0x08: "AttSize", 0x09: "AttOid", 0x0a: "AttMethod", 0x0b: "AttRemoved", 0x0c: "Body",
		0x0d: "BodySize", 0x0e: "BodyTruncated", 0x0f: "DateReceived", 0x10: "DisplayName", 0x11: "DisplayTo", 0x12: "Importance", 0x13: "MessageClass",
		0x14: "Subject", 0x15: "Read", 0x16: "To", 0x17: "Cc", 0x18: "From", 0x19: "ReplyTo", 0x1a: "AllDayEvent", 0x1b: "Categories", 0x1c: "Category",
		0x1d: "DtStamp", 0x1e: "EndTime", 0x1f: "InstanceType", 0x20: "BusyStatus", 0x21: "Location", 0x22: "MeetingRequest", 0x23: "Organizer",
		0x24: "RecurrenceId", 0x25: "Reminder", 0x26: "ResponseRequested", 0x27: "Recurrences", 0x28: "Recurrence", 0x29: "Type", 0x2a: "Until",
		0x2b: "Occurrences", 0x2c: "Interval", 0x2d: "DayOfWeek", 0x2e: "DayOfMonth", 0x2f: "WeekOfMonth", 0x30: "MonthOfYear", 0x31: "StartTime",
		0x32: "Sensitivity", 0x33: "TimeZone", 0x34: "GlobalObjId", 0x35: "ThreadTopic", 0x36: "MIMEData", 0x37: "MIMETruncated", 0x38: "MIMESize",
		0x39: "InternetCPID", 0x3a: "Flag", 0x3b: "Status", 0x3c: "ContentClass", 0x3d: "FlagType", 0x3e: "CompleteTime", 0x3f: "DisallowNewTimeProposal",
	}},
	4: {"Calendar", map[byte]string{
		0x05: "Timezone", 0x06: "AllDayEvent", 0x07: "Attendees", 0x08: "Attendee", 0x09: "Email", 0x0a: "Name", 0x0b: "Body", 0x0c: "BodyTruncated",
		0x0d: "BusyStatus", 0x0e: "Categories", 0x0f: "Category", 0x10: "CompressedRTF", 0x11: "DtStamp", 0x12: "EndTime", 0x13: "Exception",
		0x14: "Exceptions", 0x15: "Deleted", 0x16: "ExceptionStartTime", 0x17: "Location", 0x18: "MeetingStatus", 0x19: "OrganizerEmail",
		0x1a: "OrganizerName", 0x1b: "Recurrence", 0x1c: "Type", 0x1d: "Until", 0x1e: "Occurrences", 0x1f: "Interval", 0x20: "DayOfWeek",
		0x21: "DayOfMonth", 0x22: "WeekOfMonth", 0x23: "MonthOfYear", 0x24: "Reminder", 0x25: "Sensitivity", 0x26: "Subject", 0x27: "StartTime",
		0x28: "UID", 0x29: "AttendeeStatus", 0x2a: "AttendeeType", 0x2b: "Attachment", 0x2c: "Attachments", 0x2d: "AttName", 0x2e: "AttSize",
		0x2f: "AttOid", 0x30: "AttMethod", 0x31: "AttRemoved", 0x32: "DisplayName", 0x33: "DisallowNewTimeProposal", 0x34: "ResponseRequested",
		0x35: "AppointmentReplyTime", 0x36: "ResponseType", 0x37: "CalendarType", 0x38: "IsLeapMonth", 0x39: "FirstDayOfWeek",
		0x3a: "OnlineMeetingConfLink", 0x3b: "OnlineMeetingExternalLink", 0x3c: "ClientUid",
	}},
	5: {"Move", map[byte]string{
		0x05: "MoveItems", 0x06: "Move", 0x07: "SrcMsgId", 0x08: "SrcFldId", 0x09: "DstFldId", 0x0a: "Response", 0x0b: "Status", 0x0c: "DstMsgId",
	}},
	6: {"GetItemEstimate", map[byte]string{
		0x05: "GetItemEstimate", 0x06: "Version", 0x07: "Collections", 0x08: "Collection", 0x09: "Class", 0x0a: "CollectionId", 0x0b: "DateTime",
		0x0c: "Estimate", 0x0d: "Response", 0x0e: "Status",
	}},
	7: {"FolderHierarchy", map[byte]string{
		0x05: "Folders", 0x06: "Folder", 0x07: "DisplayName", 0x08: "ServerId", 0x09: "ParentId", 0x0a: "Type", 0x0b: "Response", 0x0c: "Status",
		0x0d: "ContentClass", 0x0e: "Changes", 0x0f: "Add", 0x10: "Delete", 0x11: "Update", 0x12: "SyncKey", 0x13: "FolderCreate", 0x14: "FolderDelete",
		0x15: "FolderUpdate", 0x16: "FolderSync", 0x17: "Count", 0x18: "Version",
	}},
	8: {"MeetingResponse", map[byte]string{
		0x05: "CalendarId", 0x06: "CollectionId", 0x07: "MeetingResponse", 0x08: "RequestId", 0x09: "Request", 0x0a: "Result", 0x0b: "Status",
		0x0c: "UserResponse", 0x0d: "Version", 0x0e: "InstanceId", 0x10: "ProposedStartTime", 0x11: "ProposedEndTime", 0x12: "SendResponse",
	}},
	9: {"Tasks", map[byte]string{
		0x05: "Body", 0x06: "BodySize", 0x07: "BodyTruncated", 0x08: "Categories", 0x09: "Category", 0x0a: "Complete", 0x0b: "DateCompleted",
		0x0c: "DueDate", 0x0d: "UtcDueDate", 0x0e: "Importance", 0x0f: "Recurrence", 0x10: "Type", 0x11: "Start", 0x12: "Until", 0x13: "Occurrences",
		0x14: "Interval", 0x15: "DayOfMonth", 0x16: "DayOfWeek", 0x17: "WeekOfMonth", 0x18: "MonthOfYear", 0x19: "Regenerate", 0x1a: "DeadOccur",
		0x1b: "ReminderSet", 0x1c: "ReminderTime", 0x1d: "Sensitivity", 0x1e: "StartDate", 0x1f: "UtcStartDate", 0x20: "Subject", 0x21: "Rtf",
		0x22: "OrdinalDate", 0x23: "SubOrdinalDate", 0x24: "CalendarType", 0x25: "IsLeapMonth", 0x26: "FirstDayOfWeek",
	}},
	10: {"ResolveRecipients", map[byte]string{
		0x05: "ResolveRecipients", 0x06: "Response", 0x07: "Status", 0x08: "Type", 0x09: "Recipient", 0x0a: "DisplayName", 0x0b: "EmailAddress",
		0x0c: "Certificates", 0x0d: "Certificate", 0x0e: "MiniCertificate", 0x0f: "Options", 0x10: "To", 0x11: "CertificateRetrieval",
		0x12: "RecipientCount", 0x13: "MaxCertificates", 0x14: "MaxAmbiguousRecipients", 0x15: "CertificateCount", 0x16: "Availability", 0x17: "StartTime",
		0x18: "EndTime", 0x19: "MergedFreeBusy", 0x1a: "Picture", 0x1b: "MaxSize", 0x1c: "Data", 0x1d: "MaxPictures",
	}},
	11: {"ValidateCert", map[byte]string{
		0x05: "ValidateCert", 0x06: "Certificates", 0x07: "Certificate", 0x08: "CertificateChain", 0x09: "CheckCRL", 0x0a: "Status",
	}},
	12: {"Contacts2", map[byte]string{
		0x05: "CustomerId", 0x06: "GovernmentId", 0x07: "IMAddress", 0x08: "IMAddress2", 0x09: "IMAddress3", 0x0a: "ManagerName", 0x0b: "CompanyMainPhone",
		0x0c: "AccountName", 0x0d: "NickName", 0x0e: "MMS",
	}},
	13: {"Ping", map[byte]string{
		0x05: "Ping", 0x06: "AutdState", 0x07: "Status", 0x08: "HeartbeatInterval", 0x09: "Folders", 0x0a: "Folder", 0x0b: "Id", 0x0c: "Class",
		0x0d: "MaxFolders", 0x0e: "Version",
	}},
	14: {"Provision", map[byte]string{
		0x05: "Provision", 0x06: "Policies", 0x07: "Policy", 0x08: "PolicyType", 0x09: "PolicyKey", 0x0a: "Data", 0x0b: "Status", 0x0c: "RemoteWipe",
		0x0d: "EASProvisionDoc", 0x0e: "DevicePasswordEnabled", 0x0f: "AlphanumericDevicePasswordRequired", 0x10: "RequireStorageCardEncryption",
		0x11: "PasswordRecoveryEnabled", 0x12: "DocumentBrowseEnabled", 0x13: "AttachmentsEnabled", 0x14: "MinDevicePasswordLength",
		0x15: "MaxInactivityTimeDeviceLock", 0x16: "MaxDevicePasswordFailedAttempts", 0x17: "MaxAttachmentSize", 0x18: "AllowSimpleDevicePassword",
		0x19: "DevicePasswordExpiration", 0x1a: "DevicePasswordHistory", 0x1b: "AllowStorageCard", 0x1c: "AllowCamera", 0x1d: "RequireDeviceEncryption",
		0x1e: "AllowUnsignedApplications", 0x1f: "AllowUnsignedInstallationPackages", 0x20: "MinDevicePasswordComplexCharacters", 0x21: "AllowWiFi",
		0x22: "AllowTextMessaging", 0x23: "AllowPOPIMAPEmail", 0x24: "AllowBluetooth", 0x25: "AllowIrDA", 0x26: "RequireManualSyncWhenRoaming",
		0x27: "AllowDesktopSync", 0x28: "MaxCalendarAgeFilter", 0x29: "AllowHTMLEmail", 0x2a: "MaxEmailAgeFilter", 0x2b: "MaxEmailBodyTruncationSize",
		0x2c: "MaxEmailHTMLBodyTruncationSize", 0x2d: "RequireSignedSMIMEMessages", 0x2e: "RequireEncryptedSMIMEMessages",
		0x2f: "RequireSignedSMIMEAlgorithm", 0x30: "RequireEncryptionSMIMEAlgorithm", 0x31: "AllowSMIMEEncryptionAlgorithmNegotiation",
		0x32: "AllowSMIMESoftCerts", 0x33: "AllowBrowser", 0x34: "AllowConsumerEmail", 0x35: "AllowRemoteDesktop", 0x36: "AllowInternetSharing",
		0x37: "UnapprovedInROMApplicationList", 0x38: "ApplicationName", 0x39: "ApprovedApplicationList", 0x3a: "Hash", 0x3b: "AccountOnlyRemoteWipe",
	}},
	15: {"Search", map[byte]string{
		0x05: "Search", 0x06: "Stores", 0x07: "Store", 0x08: "Name", 0x09: "Query", 0x0a: "Options", 0x0b: "Range", 0x0c: "Status", 0x0d: "Response",
		0x0e: "Result", 0x0f: "Properties", 0x10: "Total", 0x11: "EqualTo", 0x12: "Value", 0x13: "And", 0x14: "Or", 0x15: "FreeText",
		0x17: "DeepTraversal", 0x18: "LongId", 0x19: "RebuildResults", 0x1a: "LessThan", 0x1b: "GreaterThan", 0x1c: "Schema", 0x1d: "Supported",
		0x1e: "UserName", 0x1f: "Password", 0x20: "ConversationId", 0x21: "Picture", 0x22: "MaxSize", 0x23: "MaxPictures",
	}},
	16: {"Gal", map[byte]string{
		0x05: "DisplayName", 0x06: "Phone", 0x07: "Office", 0x08: "Title", 0x09: "Company", 0x0a: "Alias", 0x0b: "FirstName", 0x0c: "LastName",
		0x0d: "HomePhone", 0x0e: "MobilePhone", 0x0f: "EmailAddress", 0x10: "Picture", 0x11: "Status", 0x12: "Data",
	}},
	17: {"AirSyncBase", map[byte]string{
		0x05: "BodyPreference", 0x06: "Type", 0x07: "TruncationSize", 0x08: "AllOrNone", 0x0a: "Body", 0x0b: "Data", 0x0c: "EstimatedDataSize",
		0x0d: "Truncated", 0x0e: "Attachments", 0x0f: "Attachment", 0x10: "DisplayName", 0x11: "FileReference", 0x12: "Method", 0x13: "ContentId",
		0x14: "ContentLocation", 0x15: "IsInline", 0x16: "NativeBodyType", 0x17: "ContentType", 0x18: "Preview", 0x19: "BodyPartPreference",
		0x1a: "BodyPart", 0x1b: "Status", 0x1c: "Add", 0x1d: "Delete", 0x1e: "ClientId", 0x1f: "Content", 0x20: "Location", 0x21: "Annotation",
		0x22: "Street", 0x23: "City", 0x24: "State", 0x25: "Country", 0x26: "PostalCode", 0x27: "Latitude", 0x28: "Longitude", 0x29: "Accuracy",
		0x2a: "Altitude", 0x2b: "AltitudeAccuracy", 0x2c: "LocationUri", 0x2d: "InstanceId",
	}},
	18: {"Settings", map[byte]string{
		0x05: "Settings", 0x06: "Status", 0x07: "Get", 0x08: "Set", 0x09: "Oof", 0x0a: "OofState", 0x0b: "StartTime", 0x0c: "EndTime", 0x0d: "OofMessage",
		0x0e: "AppliesToInternal", 0x0f: "AppliesToExternalKnown", 0x10: "AppliesToExternalUnknown", 0x11: "Enabled", 0x12: "ReplyMessage",
		0x13: "BodyType", 0x14: "DevicePassword", 0x15: "Password", 0x16: "DeviceInformation", 0x17: "Model", 0x18: "IMEI", 0x19: "FriendlyName",
		0x1a: "OS", 0x1b: "OSLanguage", 0x1c: "PhoneNumber", 0x1d: "UserInformation", 0x1e: "EmailAddresses", 0x1f: "SMTPAddress", 0x20: "UserAgent",
		0x21: "EnableOutboundSMS", 0x22: "MobileOperator", 0x23: "PrimarySmtpAddress", 0x24: "Accounts", 0x25: "Account", 0x26: "AccountId",
		0x27: "AccountName", 0x28: "UserDisplayName", 0x29: "SendDisabled", 0x2b: "RightsManagementInformation",
	}},
	19: {"DocumentLibrary", map[byte]string{
		0x05: "LinkId", 0x06: "DisplayName", 0x07: "IsFolder", 0x08: "CreationDate", 0x09: "LastModifiedDate", 0x0a: "IsHidden", 0x0b: "ContentLength",
		0x0c: "ContentType",
	}},
	20: {"ItemOperations", map[byte]string{
		0x05: "ItemOperations", 0x06: "Fetch", 0x07: "Store", 0x08: "Options", 0x09: "Range", 0x0a: "Total", 0x0b: "Properties", 0x0c: "Data",
		0x0d: "Status", 0x0e: "Response", 0x0f: "Version", 0x10: "Schema", 0x11: "Part", 0x12: "EmptyFolderContents", 0x13: "DeleteSubFolders",
		0x14: "UserName", 0x15: "Password", 0x16: "Move", 0x17: "DstFldId", 0x18: "ConversationId", 0x19: "MoveAlways",
	}},
	21: {"ComposeMail", map[byte]string{
		0x05: "SendMail", 0x06: "SmartForward", 0x07: "SmartReply", 0x08: "SaveInSentItems", 0x09: "ReplaceMime", 0x0a: "Type", 0x0b: "Source",
		0x0c: "FolderId", 0x0d: "ItemId", 0x0e: "LongId", 0x0f: "InstanceId", 0x10: "Mime", 0x11: "ClientId", 0x12: "Status", 0x13: "AccountId",
		0x15: "Forwardees", 0x16: "Forwardee", 0x17: "Name", 0x18: "Email",
	}},
	22: {"Email2", map[byte]string{
		0x05: "UmCallerID", 0x06: "UmUserNotes", 0x07: "UmAttDuration", 0x08: "UmAttOrder", 0x09: "ConversationId", 0x0a: "ConversationIndex",
		0x0b: "LastVerbExecuted", 0x0c: "LastVerbExecutionTime", 0x0d: "ReceivedAsBcc", 0x0e: "Sender", 0x0f: "CalendarType", 0x10: "IsLeapMonth",
		0x11: "AccountId", 0x12: "FirstDayOfWeek", 0x13: "MeetingMessageType", 0x15: "IsDraft", 0x16: "Bcc", 0x17: "Send",
	}},
	23: {"Notes", map[byte]string{
		0x05: "Subject", 0x06: "MessageClass", 0x07: "LastModifiedDate", 0x08: "Categories", 0x09: "Category",
	}},
	24: {"RightsManagement", map[byte]string{
		0x05: "RightsManagementSupport", 0x06: "RightsManagementTemplates", 0x07: "RightsManagementTemplate", 0x08: "RightsManagementLicense",
		0x09: "EditAllowed", 0x0a: "ReplyAllowed", 0x0b: "ReplyAllAllowed", 0x0c: "ForwardAllowed", 0x0d: "ModifyRecipientsAllowed",
		0x0e: "ExtractAllowed", 0x0f: "PrintAllowed", 0x10: "ExportAllowed", 0x11: "ProgrammaticAccessAllowed", 0x12: "Owner", 0x13: "ContentExpiryDate",
		0x14: "TemplateID", 0x15: "TemplateName", 0x16: "TemplateDescription", 0x17: "ContentOwner", 0x18: "RemoveRightsManagementProtection",
	}},
	25: {"Find", map[byte]string{
		0x05: "Find", 0x06: "SearchId", 0x07: "ExecuteSearch", 0x08: "MailBoxSearchCriterion", 0x09: "Query", 0x0a: "Status", 0x0b: "FreeText",
		0x0c: "Options", 0x0d: "Range", 0x0e: "DeepTraversal", 0x11: "Response", 0x12: "Result", 0x13: "Properties", 0x14: "Preview",
		0x15: "HasAttachments", 0x16: "Total", 0x17: "DisplayCc", 0x18: "DisplayBcc", 0x19: "GalSearchCriterion", 0x20: "MaxPictures", 0x21: "MaxSize",
		0x22: "Picture",
	}},
}
